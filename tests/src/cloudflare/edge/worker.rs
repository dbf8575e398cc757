//! The deployed Workers as the runtime's configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::super::state::{Account, Script, State, Version, field};
use super::KEY_HEADER;
use super::config::{es_module, list, modules, quote, texts};

const ROUTER: &str = include_str!("../../../cloudflare/router.js");
/// Stands for a service that is bound and no longer there.
const MISSING: &str = "export default { fetch() { throw new Error(\"the bound Worker does not exist\"); } };";

/// The whole configuration. `backend` is where KV and queues are; the socket is the runtime's file descriptor 4.
pub(super) fn render(state: &State, backend: SocketAddr, key: &str) -> String {
    let mut services = vec![
        "(name = \"router\", worker = .router)".to_owned(),
        "(name = \"missing\", worker = .missing)".to_owned(),
        // Also on loopback: the backends of an installation that is tried out are there.
        "(name = \"internet\", network = (allow = [\"public\", \"private\"], tlsOptions = (trustBrowserCas = true)))"
            .to_owned(),
        "(name = \"objects\", disk = (path = \"../objects\", writable = true))".to_owned(),
    ];
    let mut definitions = Vec::new();
    let (mut hosts, mut workers, mut router) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for account in &state.accounts {
        for (kind, id) in backing(account) {
            let header = |name: &str, value: &str| format!("(name = {}, value = {})", quote(name), quote(value));
            let headers = list([header(KEY_HEADER, key), header(&format!("x-fake-{kind}"), id)]);
            services.push(format!(
                "(name = {}, external = (address = {}, http = (injectRequestHeaders = {headers})))",
                quote(&format!("{kind}:{id}")),
                quote(&backend.to_string()),
            ));
        }
        for script in account.scripts.values() {
            let Some(version) = script.active() else { continue };
            let (definition, binding) = (format!("worker{}", definitions.len()), format!("W{}", definitions.len()));
            let service = service_name(account, &script.name);
            services.push(format!("(name = {}, worker = .{definition})", quote(&service)));
            definitions.push(format!("const {definition} :Workerd.Worker = {};\n", worker(account, script, version)));
            router.push(format!("(name = {}, service = {})", quote(&binding), quote(&service)));
            if script.is_on_subdomain {
                let subdomain = account.subdomain.as_deref().unwrap_or_default();
                hosts.insert(format!("{}.{subdomain}.workers.dev", script.name), binding.clone());
                // For people: browsers and most systems find a name below localhost.
                hosts.insert(format!("{}.localhost", script.name), binding.clone());
            }
            workers.insert(format!("{}/{}", account.id, script.name), binding);
        }
    }
    router.push(format!("(name = \"KEY\", text = {})", quote(key)));
    router.push(format!("(name = \"HOSTS\", json = {})", quote(&json!(hosts).to_string())));
    router.push(format!("(name = \"WORKERS\", json = {})", quote(&json!(workers).to_string())));
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n  services = {},\n  \
         sockets = [(name = \"http\", address = \"127.0.0.1:0\", http = (), service = \"router\")],\n);\n\
         const router :Workerd.Worker = (modules = [{}], compatibilityDate = \"2026-10-01\", \
         compatibilityFlags = [\"service_binding_extra_handlers\"], bindings = {});\n\
         const missing :Workerd.Worker = (modules = [{}], compatibilityDate = \"2026-10-01\");\n{}",
        list(services),
        es_module("router.js", ROUTER),
        list(router),
        es_module("missing.js", MISSING),
        definitions.concat(),
    )
}

/// Every namespace and queue that a Worker has bound, also those that were deleted since.
fn backing(account: &Account) -> Vec<(&'static str, &str)> {
    let bindings = account.scripts.values().filter_map(Script::active).flat_map(|version| &version.bindings);
    let mut backing: Vec<(&str, &str)> = bindings
        .filter_map(|binding| match field(binding, "type") {
            "kv_namespace" => Some(("kv", field(binding, "namespace_id"))),
            "queue" => Some(("queue", queue_id(account, field(binding, "queue_name")))),
            _ => None,
        })
        .collect();
    backing.sort_unstable();
    backing.dedup();
    backing
}

fn queue_id<'a>(account: &'a Account, name: &'a str) -> &'a str {
    account.queue_named(name).map_or(name, |queue| &queue.id)
}

fn service_name(account: &Account, script: &str) -> String {
    format!("script:{}/{script}", account.id)
}

fn worker(account: &Account, script: &Script, version: &Version) -> String {
    let mut fields = vec![
        format!("modules = {}", list(modules(&version.main_module, &version.modules))),
        format!("compatibilityDate = {}", quote(&version.compatibility_date)),
        format!("compatibilityFlags = {}", texts(&version.compatibility_flags)),
    ];
    let bindings = version.bindings.iter().filter_map(|binding| self::binding(account, script, version, binding));
    fields.push(format!("bindings = {}", list(bindings)));
    if !script.classes.is_empty() {
        let classes = script.classes.iter().map(|(class, namespace)| {
            let (class, key, sql) = (quote(class), quote(&namespace.id), namespace.is_sqlite);
            format!("(className = {class}, uniqueKey = {key}, enableSql = {sql})")
        });
        fields.push(format!("durableObjectNamespaces = {}", list(classes)));
        fields.push("durableObjectStorage = (localDisk = \"objects\")".to_owned());
    }
    format!("({})", fields.join(", "))
}

/// One binding; `None` for one that can no longer lead anywhere.
fn binding(account: &Account, script: &Script, version: &Version, binding: &Value) -> Option<String> {
    let text = |name| quote(field(binding, name));
    let value = match field(binding, "type") {
        "plain_text" | "secret_text" => format!("text = {}", text("text")),
        "json" => format!("json = {}", quote(&binding.get("json").unwrap_or(&Value::Null).to_string())),
        "version_metadata" => {
            let tag = version.annotations.get("workers/tag").and_then(Value::as_str).unwrap_or_default();
            let metadata = json!({ "id": version.id, "tag": tag, "timestamp": version.created_on });
            format!("json = {}", quote(&metadata.to_string()))
        }
        "kv_namespace" => format!("kvNamespace = {}", quote(&format!("kv:{}", field(binding, "namespace_id")))),
        "queue" => {
            let id = queue_id(account, field(binding, "queue_name"));
            format!("queue = {}", quote(&format!("queue:{id}")))
        }
        "service" => service(account, binding),
        "durable_object_namespace" => {
            let owner = Some(field(binding, "script_name")).filter(|name| !name.is_empty()).unwrap_or(&script.name);
            let class = field(binding, "class_name");
            account.scripts.get(owner)?.classes.get(class)?;
            if owner == script.name {
                format!("durableObjectNamespace = {}", quote(class))
            } else {
                let service = quote(&service_name(account, owner));
                format!("durableObjectNamespace = (className = {}, serviceName = {service})", quote(class))
            }
        }
        _ => return None,
    };
    Some(format!("(name = {}, {value})", text("name")))
}

fn service(account: &Account, binding: &Value) -> String {
    let target = field(binding, "service");
    if account.scripts.get(target).and_then(Script::active).is_none() {
        return "service = \"missing\"".to_owned();
    }
    let name = quote(&service_name(account, target));
    match field(binding, "entrypoint") {
        "" => format!("service = {name}"),
        entrypoint => format!("service = (name = {name}, entrypoint = {})", quote(entrypoint)),
    }
}
