// OpenTelemetry's packages are among the npm tools in wrangler/, and not above this folder; this package is in no
// node_modules at all.
import { registerHooks } from "node:module";

const tools = new URL("../../../wrangler/package.json", import.meta.url).href;
const own = {
  "tributary-metrics": new URL("../src/index.ts", import.meta.url).href,
  "tributary-metrics/sdk": new URL("../src/sdk.ts", import.meta.url).href,
};
registerHooks({
  resolve(specifier, context, next) {
    if (specifier in own) return next(own[specifier], context);
    const isTool = specifier.startsWith("@opentelemetry/") && !context.parentURL?.includes("/node_modules/");
    return next(specifier, isTool ? { ...context, parentURL: tools } : context);
  },
});
