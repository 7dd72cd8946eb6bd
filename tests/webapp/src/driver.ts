/**
 * Lets a test written in another language use the npm client: `node dist/driver.js [5|6] [prefix]`, with
 * REDIS_HOST, REDIS_PORT and REDIS_PASSWORD as for the web app.
 *
 * One JSON request a line on stdin, `{"id": 1, "command": "add", "args": {…}}`; one JSON answer a line on stdout,
 * `{"id": 1, "result": …}` or `{"id": 1, "error": "…"}`. Requests run at the same time. Ends when stdin ends.
 */

import { createInterface } from "node:readline";

import { loadBullmq } from "./bullmq-version.js";
import { Commands } from "./commands.js";

interface Request {
  id: number;
  command: string;
  args: object;
}

async function answer(commands: Commands, request: Request): Promise<void> {
  let reply: object;
  try {
    const known = Object.getOwnPropertyNames(Commands.prototype).filter((name) => name !== "constructor");
    if (!known.includes(request.command)) {
      throw new Error(`unknown command ${request.command}; there are: ${known.join(", ")}`);
    }
    const command = commands[request.command as keyof Commands] as (args: object) => Promise<unknown>;
    reply = { id: request.id, result: (await command.call(commands, request.args)) ?? null };
  } catch (error) {
    reply = { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

async function main([major = "6", prefix = "bull"]: string[]): Promise<void> {
  const commands = new Commands(await loadBullmq(major), prefix);
  const running = new Set<Promise<void>>();
  for await (const line of createInterface({ input: process.stdin })) {
    const task = answer(commands, JSON.parse(line) as Request);
    running.add(task);
    void task.finally(() => running.delete(task));
  }
  await commands.close();
}

await main(process.argv.slice(2));
// A wait that nobody waits for any more must not keep the process alive.
process.exit(0);
