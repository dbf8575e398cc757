//! Several delta queues (`QUEUE_SHARDS`) out of the one that the checked-in configurations name.

use toml::{Table, Value};
use tributary_proto::envelope::MAX_LEDGERS;

/// Var of the producer that says how many there are.
pub const QUEUE_SHARDS: &str = "QUEUE_SHARDS";
/// How the name of a dead-letter queue ends; there is one for all.
const DEAD_SUFFIX: &str = "-dead";

/// Name of the queue with a number, where the first is called `queue`: `queue`, `queue-1`, `queue-2` …
#[must_use]
pub fn name_of(queue: &str, number: u32) -> String {
    if number == 0 { queue.to_owned() } else { format!("{queue}-{number}") }
}

/// The number of a queue, where the first is called `queue`; `None` for a queue of another name.
#[must_use]
pub fn number_of(name: &str, queue: &str) -> Option<u32> {
    (0..MAX_LEDGERS).find(|number| name_of(queue, *number) == name)
}

/// Reads a number of queues; `None` for one that there cannot be.
#[must_use]
pub fn parse(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|shards| (1..=MAX_LEDGERS).contains(shards))
}

/// Adds a binding for each further queue that the Worker sends deltas to: `DELTAS_1`, `DELTAS_2` … beside `DELTAS`.
pub fn add_producers(config: &mut Table, shards: u32) {
    add(config, "producers", shards, |row, number| {
        if let Some(Value::String(binding)) = row.get_mut("binding") {
            *binding = format!("{binding}_{number}");
        }
    });
}

/// Lets the Worker consume each further queue of deltas as it consumes the first.
pub fn add_consumers(config: &mut Table, shards: u32) {
    add(config, "consumers", shards, |_, _| {});
}

/// Lets the Worker consume one further queue as it consumes the first.
pub fn add_consumer(config: &mut Table, number: u32) {
    each(config, "consumers", number..number.saturating_add(1), |_, _| {});
}

fn add(config: &mut Table, kind: &str, shards: u32, change: impl Fn(&mut Table, u32)) {
    each(config, kind, 1..shards, change);
}

/// Adds a row for each number behind those of the first queue, where it is not there.
fn each(config: &mut Table, kind: &str, numbers: std::ops::Range<u32>, change: impl Fn(&mut Table, u32)) {
    let rows = config.get_mut("queues").and_then(|queues| queues.get_mut(kind)).and_then(Value::as_array_mut);
    let Some(rows) = rows else { return };
    let name = |row: &Table| row.get("queue").and_then(Value::as_str).map(str::to_owned);
    let is_first = |queue: &str| !queue.ends_with(DEAD_SUFFIX) && !queue.ends_with(|c: char| c.is_ascii_digit());
    let first: Vec<Table> = rows.iter().filter_map(Value::as_table).cloned().collect();
    for row in first {
        let Some(queue) = name(&row).filter(|queue| is_first(queue)) else { continue };
        for number in numbers.clone() {
            let mut row = row.clone();
            let further = name_of(&queue, number);
            if rows.iter().filter_map(Value::as_table).any(|row| name(row).as_deref() == Some(&further)) {
                continue;
            }
            row.insert("queue".to_owned(), further.into());
            change(&mut row, number);
            rows.push(row.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
[[queues.consumers]]
queue = "eu-deltas"
dead_letter_queue = "eu-deltas-dead"
max_batch_size = 100
[[queues.consumers]]
queue = "eu-deltas-dead"
[[queues.producers]]
binding = "DELTAS"
queue = "eu-deltas"
[[queues.producers]]
binding = "DEAD"
queue = "eu-deltas-dead"
"#;

    fn rows(config: &Table, kind: &str, key: &str) -> Vec<String> {
        let rows = config["queues"][kind].as_array().unwrap();
        rows.iter().map(|row| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn each_further_queue_is_as_the_first_and_the_dead_letter_queue_stays_one() {
        let mut config: Table = CONFIG.parse().unwrap();
        add_consumers(&mut config, 3);
        assert_eq!(rows(&config, "consumers", "queue"), ["eu-deltas", "eu-deltas-dead", "eu-deltas-1", "eu-deltas-2"]);
        assert_eq!(rows(&config, "consumers", "dead_letter_queue")[2..], ["eu-deltas-dead", "eu-deltas-dead"]);
        assert_eq!(rows(&config, "producers", "binding"), ["DELTAS", "DEAD"]);
        add_consumer(&mut config, 2);
        add_consumer(&mut config, 5);
        assert_eq!(rows(&config, "consumers", "queue")[3..], ["eu-deltas-2", "eu-deltas-5"], "each once");
        add_producers(&mut config, 3);
        assert_eq!(rows(&config, "producers", "binding"), ["DELTAS", "DEAD", "DELTAS_1", "DELTAS_2"]);
        assert_eq!(rows(&config, "producers", "queue")[2..], ["eu-deltas-1", "eu-deltas-2"]);
        let mut one: Table = CONFIG.parse().unwrap();
        add_consumers(&mut one, 1);
        add_producers(&mut one, 0);
        assert_eq!(one, CONFIG.parse().unwrap());
        let mut none = Table::new();
        add_producers(&mut none, 3);
        assert_eq!(none, Table::new());
    }

    #[test]
    fn names_and_numbers_belong_together() {
        for number in 0..MAX_LEDGERS {
            assert_eq!(number_of(&name_of("tributary-deltas", number), "tributary-deltas"), Some(number));
        }
        for other in ["tributary-deltas-0", "tributary-deltas-16", "tributary-deltas-dead", "tributary-deltas-1-1", "x"]
        {
            assert_eq!(number_of(other, "tributary-deltas"), None, "{other}");
        }
        assert_eq!(
            (parse(" 3 "), parse("0"), parse("17"), parse("x"), parse("16")),
            (Some(3), None, None, None, Some(16))
        );
    }
}
