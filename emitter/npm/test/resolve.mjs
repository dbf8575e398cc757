// OpenTelemetry's packages are among the npm tools in wrangler/, and not above this folder.
import { registerHooks } from "node:module";

const tools = new URL("../../../wrangler/package.json", import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) =>
    specifier.startsWith("@opentelemetry/") && !context.parentURL?.includes("/node_modules/")
      ? next(specifier, { ...context, parentURL: tools })
      : next(specifier, context),
});
