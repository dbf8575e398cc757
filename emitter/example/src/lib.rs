//! A shop: `POST /orders?country=SE&items=3`. Its whole code is in `docs/embedding.md`, which a test compares.

use tributary_emitter::{Counter, Emitter, Family, Gauge, Histogram};
use worker::{Context, Env, Request, Response, Result, event};

static EMITTER: Emitter = Emitter::new("shop");
static ORDERS: Family<Counter, 1> = Family::counter("shop_orders", "Orders placed.", ["country"]);
static ITEMS: Family<Histogram, 0> =
    Family::histogram("shop_order_items", "Items per order.", [], &[1.0, 2.0, 5.0, 10.0]);
static LATEST: Family<Gauge, 0> = Family::gauge("shop_last_order_items", "Items of the latest order.", []);

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let url = request.url()?;
    let parameter = |name| url.query_pairs().find_map(|(key, value)| (key == name).then_some(value));
    // A label has few values: what a client may choose freely is none.
    let country = match parameter("country").as_deref() {
        Some(country @ ("DK" | "NO" | "SE")) => country.to_owned(),
        _ => "other".to_owned(),
    };
    let items = parameter("items").and_then(|items| items.parse::<u32>().ok()).unwrap_or(1);

    ORDERS.with([&country]).increment();
    ITEMS.with([]).observe(items.into());
    LATEST.with([]).set(items.into());
    EMITTER.flush(&env, &context);
    Response::ok("Thank you for your order.\n")
}
