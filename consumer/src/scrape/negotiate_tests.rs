//! Real headers, the corners of RFC 9110, and junk.

use super::*;
use Format::{OpenMetrics, Prometheus, Protobuf};

fn format(accept: &str) -> Format {
    media_type(Some(accept), None).format
}

#[test]
fn real_headers_get_what_they_prefer() {
    let table = [
        // Prometheus 1, Telegraf: the protobuf format first.
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            Protobuf,
        ),
        // Prometheus 2.5 to 2.34 know OpenMetrics 0.0.1, which we are not.
        ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Prometheus),
        // Prometheus 2.35 and later.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OpenMetrics,
        ),
        // Prometheus 2.40 to 2.48 with native histograms.
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Protobuf,
        ),
        // Prometheus 2.49 to 2.54, without and with them.
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OpenMetrics,
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Protobuf,
        ),
        // Prometheus 3, with UTF-8 names and without.
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OpenMetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OpenMetrics,
        ),
        // Prometheus 3 with native histograms: protobuf first. In 3.0 that named an escaping, too.
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Protobuf,
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.3",
            Protobuf,
        ),
        // Prometheus 3 told to scrape text first, and protobuf where there is no text.
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,*/*;q=0.4",
            OpenMetrics,
        ),
        // Prometheus 3 told to scrape text 0.0.4 alone.
        ("text/plain;version=0.0.4;q=0.2,*/*;q=0.1", Prometheus),
        // VictoriaMetrics and vmagent; the OpenTelemetry Collector and Grafana Alloy send what Prometheus does.
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Prometheus),
        ("text/plain; version=0.0.4, */*; q=0.1", Prometheus),
        // Telegraf, the Datadog agent, Netdata and their like.
        ("text/plain", Prometheus),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;q=0.9", OpenMetrics),
        // Browsers, curl, Java's HttpURLConnection, axios.
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", Prometheus),
        ("*/*", Prometheus),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Prometheus),
        ("application/json, text/plain, */*", Prometheus),
    ];
    for (accept, expected) in table {
        assert_eq!(format(accept), expected, "{accept}");
        assert_eq!(format(&accept.to_ascii_uppercase()), expected, "{accept}");
        assert_eq!(format(&accept.replace(';', " ;\t").replace(',', " , ")), expected, "{accept}");
    }
    assert_eq!(media_type(None, None).format, Prometheus);
}

#[test]
fn quality_decides_and_the_most_exact_range_has_it() {
    for (accept, expected) in [
        ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Prometheus),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.501", OpenMetrics),
        ("application/openmetrics-text;q=0.5, */*;q=0.8", Prometheus),
        ("application/openmetrics-text;q=0.8, */*;q=0.5", OpenMetrics),
        ("application/openmetrics-text;q=0", Prometheus),
        ("application/openmetrics-text;q=0, application/*", Prometheus),
        ("application/openmetrics-text;version=1.0.0;q=0, application/openmetrics-text", Prometheus),
        ("application/openmetrics-text;version=1.0.0, application/openmetrics-text;q=0", OpenMetrics),
        ("text/plain;q=0, application/openmetrics-text;q=0.001", OpenMetrics),
        ("text/*;q=0.3, application/*;q=0.4", OpenMetrics),
        ("text/*;q=0.4, application/*;q=0.3", Prometheus),
        ("text/*, application/openmetrics-text;q=0.9", Prometheus),
        ("text/plain;q=0.2, text/*;q=0.9, application/openmetrics-text;q=0.5", OpenMetrics),
        ("text/plain;q=0.2, text/plain;q=0.9, application/openmetrics-text;q=0.5", Prometheus),
    ] {
        assert_eq!(format(accept), expected, "{accept}");
    }
}

#[test]
fn at_equal_quality_what_is_named_wins_and_then_what_stands_first() {
    for (accept, expected) in [
        ("application/openmetrics-text, text/plain", OpenMetrics),
        ("text/plain, application/openmetrics-text", Prometheus),
        ("text/plain, application/openmetrics-text;version=1.0.0", Prometheus),
        ("*/*, application/openmetrics-text", OpenMetrics),
        ("text/*, application/openmetrics-text", OpenMetrics),
        ("application/*, text/plain", Prometheus),
        ("application/*, */*", OpenMetrics),
        ("application/*", OpenMetrics),
        ("text/*, application/*", Prometheus),
        ("application/*, text/*", OpenMetrics),
        ("*/*, */*", Prometheus),
    ] {
        assert_eq!(format(accept), expected, "{accept}");
    }
}

#[test]
fn other_versions_and_charsets_are_not_what_we_have() {
    for accept in [
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=\"\"",
        "application/openmetrics-text;charset=iso-8859-1",
        "application/openmetrics-text-2",
        "text/openmetrics-text",
        "*/openmetrics-text",
    ] {
        assert_eq!(format(accept), Prometheus, "{accept}");
    }
    for accept in [
        "application/openmetrics-text",
        "application/openmetrics-text;version=\"1.0.0\"",
        "application/openmetrics-text;charset=UTF-8",
        "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.1",
        "application/openmetrics-text;something=else",
        // Text 1.0.0 is not on offer, so it is no rival.
        "text/plain;version=1.0.0;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5",
    ] {
        assert_eq!(format(accept), OpenMetrics, "{accept}");
    }
}

#[test]
fn protobuf_is_for_who_names_it_with_its_message_and_encoding() {
    const WHOLE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, expected) in [
        (WHOLE, Protobuf),
        (
            "application/vnd.google.protobuf; encoding=\"delimited\"; proto=\"io.prometheus.client.MetricFamily\"",
            Protobuf,
        ),
        ("Application/vnd.Google.Protobuf;Proto=IO.Prometheus.Client.MetricFamily;Encoding=DELIMITED", Protobuf),
        ("application/vnd.google.protobuf", Prometheus),
        ("application/vnd.google.protobuf;encoding=delimited", Prometheus),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Prometheus),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.Metric;encoding=delimited", Prometheus),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Prometheus),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text", Prometheus),
        ("application/x-protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Prometheus),
        ("text/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Prometheus),
        ("*/*;proto=io.prometheus.client.MetricFamily;encoding=delimited", Prometheus),
        ("application/*;proto=io.prometheus.client.MetricFamily;encoding=delimited", OpenMetrics),
        (
            "application/*;proto=io.prometheus.client.MetricFamily;encoding=delimited, application/openmetrics-text;q=0.5",
            OpenMetrics,
        ),
    ] {
        assert_eq!(format(accept), expected, "{accept}");
    }
    for (rest, expected) in [
        (";q=0", Prometheus),
        (";q=0, */*", Prometheus),
        (";q=0, application/*", OpenMetrics),
        (";q=0.5, text/plain;q=0.5", Protobuf),
        (";q=0.5, text/plain;q=0.6", Prometheus),
        (";q=0.5, application/openmetrics-text;q=0.5, text/plain;q=0.1", Protobuf),
        (";q=0.5, application/openmetrics-text;q=0.501, text/plain;q=0.1", OpenMetrics),
        (";q=0.5, application/openmetrics-text;q=0.6, text/plain;q=0.7", Prometheus),
        (";q=0.001, text/plain;q=0", Protobuf),
        (";q=0.5, */*;q=0.9", Prometheus),
        (";q=0.5, application/*;q=0.5", Protobuf),
        (";q=0.2, application/vnd.google.protobuf;q=0.9, application/openmetrics-text;q=0.5", OpenMetrics),
    ] {
        assert_eq!(format(&format!("{WHOLE}{rest}")), expected, "{rest}");
    }
    for before in ["text/plain, ", "application/openmetrics-text, "] {
        assert_ne!(format(&format!("{before}{WHOLE}")), Protobuf, "of equal ones the first: {before}");
    }
    // Options know two formats, and say which one everybody gets.
    assert_eq!(media_type(Some(WHOLE), Some(true)).format, OpenMetrics);
    assert_eq!(media_type(Some(WHOLE), Some(false)).format, Prometheus);
    // As Prometheus' Go client says it.
    let content_type = |rest: &str| media_type(Some(&format!("{WHOLE}{rest}")), None).content_type();
    let plain = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    assert_eq!(content_type(";q=0.6"), plain);
    assert_eq!(content_type(";escaping=other"), plain);
    for escaping in ["allow-utf-8", "underscores", "dots", "values"] {
        assert_eq!(content_type(&format!(";escaping={escaping}")), format!("{plain}; escaping={escaping}"));
    }
}

#[test]
fn junk_is_never_an_error() {
    let long = "application/openmetrics-text,".repeat(1_000);
    for accept in [
        "",
        ",",
        ";;;",
        "/",
        "application/openmetrics-text;q=NaN",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=-0.5",
        "application/openmetrics-text;q=0.0001",
        "application openmetrics-text",
        "\u{1}",
        "application/openmetrics-text/x",
        "\"application/openmetrics-text\"",
        &long,
    ] {
        assert_eq!(format(accept), Prometheus, "{accept:?}");
    }
    assert_eq!(format("x;y=\"application/openmetrics-text, application/openmetrics-text"), Prometheus);
}

#[test]
fn escaping_is_echoed_where_it_is_known_and_the_format_has_it() {
    let content_type = |accept: &str| media_type(Some(accept), None).content_type();
    for (asked, said) in [
        ("allow-utf-8", "; escaping=allow-utf-8"),
        ("allow-utf8", "; escaping=allow-utf-8"),
        ("\"underscores\"", "; escaping=underscores"),
        ("Dots", "; escaping=dots"),
        ("values", "; escaping=values"),
        ("other", ""),
        ("a; x=y", ""),
    ] {
        let openmetrics = content_type(&format!("application/openmetrics-text;version=1.0.0;escaping={asked}"));
        assert_eq!(openmetrics, format!("application/openmetrics-text; version=1.0.0; charset=utf-8{said}"));
        let text = content_type(&format!("text/plain;version=0.0.4;escaping={asked}"));
        assert_eq!(text, "text/plain; version=0.0.4; charset=utf-8");
    }
}

#[test]
fn an_option_overrules_the_header() {
    let openmetrics = "application/openmetrics-text;escaping=dots";
    assert_eq!(media_type(Some(openmetrics), Some(false)).format, Prometheus);
    assert_eq!(media_type(Some("text/plain"), Some(true)).format, OpenMetrics);
    assert_eq!(media_type(Some(openmetrics), Some(true)).escaping, Some(Escaping::Dots));
    assert_eq!(media_type(None, Some(true)), MediaType { format: OpenMetrics, escaping: None });
}

#[test]
fn gzip_is_sent_to_those_who_take_it_at_least_as_gladly() {
    for accept in [
        "gzip",
        "gzip, deflate, br, zstd",
        "br;q=1.0, gzip;q=0.8, *;q=0.1",
        "x-gzip",
        "GZIP",
        "*",
        "gzip;q=0.001",
        "identity;q=0.5, gzip;q=0.5",
        "gzip;q=0.5, identity;q=0.1, *;q=0",
        "deflate, *;q=0.5",
        "*;q=0, gzip",
        "identity;q=0",
        "gzip;q=0.5, gzip;q=0.6, identity;q=0.6",
    ] {
        assert_eq!(coding(Some(accept)), Coding::Gzip, "{accept}");
    }
    for accept in [
        "",
        "identity",
        "deflate, br, zstd",
        "gzip;q=0",
        "gzip;q=0, *",
        "gzip;q=0, identity;q=0",
        "*;q=0",
        "gzip;q=0.5, identity",
        "gzip;q=0.1, *;q=0.5",
        "gzip;q=x",
        ";;,",
        "gzip2",
    ] {
        assert_eq!(coding(Some(accept)), Coding::Identity, "{accept}");
    }
    assert_eq!(coding(None), Coding::Identity);
}
