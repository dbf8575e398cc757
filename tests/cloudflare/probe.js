// Says what the script MAIN exports; edge/probe.rs puts its name in.
import * as exported from "MAIN";

const HANDLERS = ["fetch", "queue", "scheduled", "email", "tail", "tailStream", "trace", "alarm", "test"];

// A default export is an object with handlers, or a class whose instances have them.
function handlers(value) {
  const target = typeof value === "function" ? value.prototype : value;
  return target == null ? [] : HANDLERS.filter((name) => typeof target[name] === "function");
}

export default {
  test() {
    const others = Object.entries(exported).filter(([name]) => name !== "default");
    const classes = others.filter(([, value]) => typeof value === "function").map(([name]) => name);
    console.log(`PROBED ${JSON.stringify({ handlers: handlers(exported.default), exports: classes })}`);
  },
};
