/** Answers each datagram with itself; usage: echo.ts ADDRESS PORT. */
import { createSocket } from "node:dgram";

const socket = createSocket("udp4");
socket.on("message", (text, { address, port }) => socket.send(text, port, address));
socket.bind(Number(process.argv[3]), process.argv[2]);
