//! Workers with OpenTelemetry's metrics API, in Rust and in TypeScript, on the same queue as the resolver: what they record is
//! on `/metrics`, each recording once, also where their queue, or one of several, refuses for a while.

use std::thread;

use tempfile::TempDir;
use tributary_tests::{embedding::Embedding, exposition::Exposition, wait::eventually};

use crate::{
    consumer::{LIMIT, backend},
    embedding::{Orders, expect_account, expect_resolves, resolve, start},
    parsers::{check_openmetrics, check_text},
};

const COUNTRIES: [&str; 3] = ["DK", "NO", "SE"];

/// A Worker under test: its name, and the noun in its metrics.
#[derive(Clone, Copy)]
struct Shop {
    name: &'static str,
    noun: &'static str,
}

const SHOPS: [Shop; 2] = [Shop { name: "cafe", noun: "order" }, Shop { name: "kiosk", noun: "sale" }];

/// Name, the label beside those that all have, value.
type Sample = (String, Option<(&'static str, &'static str)>, f64);

/// What a Worker must have counted: an oracle that knows only of requests.
#[derive(Default)]
struct Book {
    placed: Vec<(&'static str, u32)>,
    taken_back: Vec<(&'static str, u32)>,
}

impl Book {
    /// Places orders from several clients at a time, so that requests share windows, and takes every fifth back.
    fn place(&mut self, shops: &Embedding, shop: Shop, count: u32) {
        let orders: Vec<_> = (0..count).map(|n| (COUNTRIES[n as usize % 3], n * 7 % 13)).collect();
        thread::scope(|scope| {
            for part in orders.chunks(orders.len().div_ceil(4)) {
                scope.spawn(move || {
                    for (n, (country, items)) in part.iter().enumerate() {
                        let path = format!("/?country={country}&items={items}");
                        shops.call("POST", shop.name, &path).unwrap();
                        if n % 5 == 0 {
                            shops.call("DELETE", shop.name, &path).unwrap();
                        }
                    }
                });
            }
        });
        for part in orders.chunks(orders.len().div_ceil(4)) {
            self.taken_back.extend(part.iter().step_by(5));
        }
        self.placed.extend(orders);
    }

    /// The last of all, by itself: the reading that counts.
    fn place_last(&mut self, shops: &Embedding, shop: Shop, items: u32) {
        shops.call("POST", shop.name, &format!("/?country=SE&items={items}")).unwrap();
        self.placed.push(("SE", items));
    }

    /// Takes one back of which the window before knows.
    fn take_back(&mut self, shops: &Embedding, shop: Shop, items: u32) {
        shops.call("DELETE", shop.name, &format!("/?country=SE&items={items}")).unwrap();
        self.taken_back.push(("SE", items));
    }

    /// What of it `/metrics` does not say.
    fn missing(&self, Shop { name, noun }: Shop, metrics: &Exposition) -> Result<(), String> {
        let count = |is: &dyn Fn(&str, u32) -> bool| -> f64 {
            u32::try_from(self.placed.iter().filter(|(country, items)| is(country, *items)).count()).unwrap().into()
        };
        let taken_back = |country: &str| -> f64 {
            u32::try_from(self.taken_back.iter().filter(|(of, _)| *of == country).count()).unwrap().into()
        };
        let items = |orders: &[(&str, u32)]| -> f64 { orders.iter().map(|(_, items)| f64::from(*items)).sum() };
        let sum = items(&self.placed);
        let all = count(&|_, _| true);
        let mut expected: Vec<Sample> = Vec::new();
        for country in COUNTRIES {
            let placed = count(&|of, _| of == country);
            let label = Some(("country", country));
            expected.push((format!("{name}_{noun}s_total"), label, placed));
            expected.push((format!("{name}_{noun}s_open"), label, placed - taken_back(country)));
        }
        for (le, bound) in [("1.0", 1), ("2.0", 2), ("5.0", 5), ("10.0", 10), ("+Inf", u32::MAX)] {
            let under = count(&|_, items| items <= bound);
            expected.push((format!("{name}_{noun}_items_bucket"), Some(("le", le)), under));
        }
        expected.push((format!("{name}_{noun}_items_count"), None, all));
        expected.push((format!("{name}_{noun}_items_sum"), None, sum));
        expected.push((format!("{name}_{noun}_value_count"), None, all));
        expected.push((format!("{name}_{noun}_value_sum"), None, sum * 0.25));
        expected.push((format!("{name}_{noun}_value_bucket"), Some(("le", "+Inf")), all));
        expected.push((format!("{name}_{noun}_latest"), None, self.placed.last().map_or(0.0, |(_, n)| (*n).into())));
        // What is observed: totals and levels of the isolate, whenever a window is sealed.
        let requests = u32::try_from(self.placed.len() + self.taken_back.len()).unwrap();
        expected.push((format!("{name}_requests_total"), None, requests.into()));
        expected.push((format!("{name}_items_open"), None, sum - items(&self.taken_back)));
        let largest = self.placed.iter().map(|(_, items)| *items).max().unwrap_or(0);
        expected.push((format!("{name}_{noun}_largest"), None, largest.into()));
        let differing: Vec<String> = expected
            .into_iter()
            .filter_map(|(series, own, value)| {
                let labels: Vec<_> = [("job", name), ("otel_scope_name", name)].into_iter().chain(own).collect();
                let found = metrics.find(&series, &labels);
                (found != Some(value)).then(|| format!("{series} {own:?}: {found:?} instead of {value}"))
            })
            .collect();
        if differing.is_empty() { Ok(()) } else { Err(differing.join(", ")) }
    }

    fn expect(&self, shops: &Embedding, shop: Shop) -> Exposition {
        eventually(LIMIT * 2, &format!("what the {} counted", shop.name), || {
            let metrics = shops.metrics()?;
            self.missing(shop, &metrics).map(|()| metrics)
        })
    }
}

#[test]
fn what_workers_record_with_opentelemetry_is_exact_beside_the_flags() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let shops = start(&folder, &backend, &[]);
    let mut books: Vec<(Shop, Book)> = SHOPS.map(|shop| (shop, Book::default())).into();
    for (shop, book) in &mut books {
        book.place(&shops, *shop, 120);
    }
    let flags = resolve(&shops, 0..10);
    for (shop, book) in &mut books {
        book.place_last(&shops, *shop, 4);
    }
    for (shop, book) in &books {
        let metrics = book.expect(&shops, *shop);
        // Requests shared messages.
        let records = expect_account(&metrics, shop.name);
        assert!(records <= 80.0, "{records} messages of the {} for 145 requests", shop.name);
        assert_eq!(metrics.get("tributary_dropped_recordings_total", &[("resolver_id", shop.name)]), 0.0);
    }
    expect_resolves(&shops, flags);
    // What is observed is a total each time, of which an earlier message had a part; a level comes down, too.
    for round in 1..=3 {
        for (shop, book) in &mut books {
            let records =
                |metrics: &Exposition| metrics.get("tributary_records_sent_total", &[("resolver_id", shop.name)]);
            let before = records(&book.expect(&shops, *shop));
            book.take_back(&shops, *shop, 3 * round);
            let after = book.expect(&shops, *shop);
            assert!(records(&after) > before, "another message");
            book.place_last(&shops, *shop, 10 * round);
        }
    }
    books.iter().for_each(|(shop, book)| drop(book.expect(&shops, *shop)));
    let metrics = shops.metrics().unwrap();
    for (shop, _) in &books {
        let job = format!("job=\"{}\"", shop.name);
        assert!(metrics.series("target_info").any(|(series, value)| series.contains(&job) && value == 1.0), "{job}");
    }
    check_text(&shops.get("/metrics", "text/plain;version=0.0.4").unwrap().body, 200);
    check_openmetrics(&shops.get("/metrics", "application/openmetrics-text;version=1.0.0").unwrap().body, 200);
}

/// A variable says who a Worker is: in one language as in the other, and of an instance nothing.
#[test]
fn what_a_worker_says_of_itself_is_its_job_and_its_target_info() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let attributes =
        "service.namespace=eu,service.version=7,deployment.environment.name=a%20test,service.instance.id=i-1";
    let shops = start(&folder, &backend, &[("OTEL_RESOURCE_ATTRIBUTES", attributes)]);
    for Shop { name, .. } in SHOPS {
        shops.call("POST", name, "/?country=SE&items=3").unwrap();
    }
    for Shop { name, noun } in SHOPS {
        let job = format!("eu/{name}");
        let metrics = eventually(LIMIT, "an order", || {
            let metrics = shops.metrics()?;
            let labels = [("country", "SE"), ("job", job.as_str()), ("otel_scope_name", name)];
            match metrics.find(&format!("{name}_{noun}s_total"), &labels) {
                Some(1.0) => Ok(metrics),
                found => Err(format!("{found:?}")),
            }
        });
        let job = format!("job=\"{job}\"");
        let infos: Vec<_> = metrics.series("target_info").filter(|(series, _)| series.contains(&job)).collect();
        let [(info, 1.0)] = infos.as_slice() else { panic!("{infos:?}") };
        for label in ["deployment_environment_name=\"a test\"", "service_version=\"7\"", "telemetry_sdk_language="] {
            assert!(info.contains(label), "{info}");
        }
        let of_instance: Vec<_> = metrics.all().filter(|(series, _)| series.contains("i-1")).collect();
        assert_eq!(of_instance, []);
    }
}

#[test]
fn a_queue_that_refuses_for_a_while_costs_no_recording_and_doubles_none() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let shops = start(&folder, &backend, &[]);
    let mut books: Vec<(Shop, Book)> = SHOPS.map(|shop| (shop, Book::default())).into();
    for (shop, book) in &mut books {
        // Refused and not taken, then taken with an answer that is lost.
        for mode in ["before", "after"] {
            shops.call("POST", shop.name, &format!("/refuse?mode={mode}")).unwrap();
            book.place(&shops, *shop, 40);
            // Until flushes have tried all their times: what they drained waits for another request.
            let said = || {
                let said = shops.call("POST", shop.name, &format!("/refuse?mode={mode}"))?;
                said.parse::<u32>().map_err(|error| error.to_string())
            };
            let before = said().unwrap();
            eventually(LIMIT, "refusals", || {
                shops.call("POST", shop.name, "/?country=NO&items=2")?;
                book.placed.push(("NO", 2));
                match said()? {
                    refused if refused >= before + 8 => Ok(()),
                    refused => Err(format!("{refused} refusals")),
                }
            });
        }
        shops.call("POST", shop.name, "/refuse?mode=none").unwrap();
        book.place(&shops, *shop, 20);
        book.place_last(&shops, *shop, 9);
    }
    for (shop, book) in &books {
        let metrics = book.expect(&shops, *shop);
        expect_account(&metrics, shop.name);
    }
}

/// The binding behind `binding` among three, as emitters fail over.
fn next(binding: &str) -> &'static str {
    match binding {
        "DELTAS" => "DELTAS_1",
        "DELTAS_1" => "DELTAS_2",
        _ => "DELTAS",
    }
}

/// Every Worker with metrics on three queues, the one without OpenTelemetry too. Of each one queue takes messages and says
/// that it did not, so that two queues have them; then the next refuses.
#[test]
fn with_three_queues_of_which_one_fails_each_recording_counts_once() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let shops = start(&folder, &backend, &[("QUEUE_SHARDS", "3")]);
    let (mut orders, mut books) = (Orders::default(), SHOPS.map(|_| Book::default()));
    let names = ["shop", SHOPS[0].name, SHOPS[1].name];
    let mut place = |count: u32| {
        orders.place(&shops, count);
        for (shop, book) in SHOPS.iter().zip(&mut books) {
            book.place(&shops, *shop, count);
            book.place_last(&shops, *shop, 11);
        }
        // Nothing is under way any more when all of it is counted.
        orders.expect(&shops);
        SHOPS.iter().zip(&books).for_each(|(shop, book)| drop(book.expect(&shops, *shop)));
    };
    let sends = || names.map(|name| shops.sends(name).unwrap());
    let refuse = |name: &str, queue: &str, mode: &str| {
        shops.call("POST", name, &format!("/refuse?mode={mode}&queue={queue}")).unwrap();
    };
    place(30);
    let at_home = sends();
    let homes = at_home.each_ref().map(|sends| {
        assert_eq!(sends.len(), 1, "a stream has one queue: {sends:?}");
        sends.keys().next().unwrap().clone()
    });

    names.iter().zip(&homes).for_each(|(name, home)| refuse(name, home, "after"));
    place(30);
    let lost_answers = sends();
    for ((home, before), after) in homes.iter().zip(&at_home).zip(&lost_answers) {
        assert!(after[home] > before[home] && after[next(home)] > 0, "both have it: {before:?}, {after:?}");
    }

    names.iter().zip(&homes).for_each(|(name, home)| refuse(name, next(home), "before"));
    place(30);
    for ((home, before), after) in homes.iter().zip(&lost_answers).zip(&sends()) {
        let (next, last) = (next(home), next(next(home)));
        assert_eq!((after[home], after[next]), (before[home], before[next]), "one is avoided, one refuses");
        assert!(after[last] > before.get(last).copied().unwrap_or(0), "{before:?}, {after:?}");
    }

    let flags = resolve(&shops, 0..5);
    expect_resolves(&shops, flags);
    let metrics = shops.metrics().unwrap();
    for name in names {
        expect_account(&metrics, name);
    }
    let of_all = metrics.series("tributary_messages_total");
    let repeated: f64 = of_all.filter(|(series, _)| series.contains("\"duplicate\"")).map(|(_, count)| count).sum();
    assert!(repeated >= 3.0, "{repeated} of those that two queues had");
}
