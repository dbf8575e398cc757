import { Tributary, type HandlerContext } from "tributary-metrics";

const metrics = new Tributary("hello");
const greetings = metrics.counter("hello.greetings", { description: "Greetings said." });
const length = metrics.histogram("hello.name.length", { boundaries: [2, 4, 8, 16] });

export default {
  async fetch(request: Request, env: object, context: HandlerContext): Promise<Response> {
    const name = new URL(request.url).searchParams.get("name") ?? "world";
    greetings.add(1, { known: name !== "world" });
    length.record(name.length);
    metrics.flush(env, context);
    return new Response(`Hello ${name}\n`);
  },
};
