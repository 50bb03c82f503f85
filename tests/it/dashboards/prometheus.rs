//! A Prometheus that holds ten days of what eleven servers' pgvigils would have exported: see tests/dashboards/history.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::exported;
use crate::support::http::{exchange, own_address};
use crate::support::place::{Place, executable, leashed};
use crate::support::{fed, programs, wait_until};

/// The last moment of the history: a Monday, 09:00 UTC.
pub(super) const END: i64 = 1_773_651_600;
/// Between two samples, as in the history.
pub(super) const SCRAPE: i64 = 20 * 60;
const DAY: i64 = 86_400;

/// A running Prometheus. It ends with this process, and its data with it.
pub(super) struct Prometheus {
    pub(super) address: SocketAddr,
    _child: Child,
    _place: Place,
}

/// One series of an answer: its labels, and its values in order.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) values: Vec<f64>,
}

/// The one of this process.
pub(super) fn prometheus() -> &'static Prometheus {
    static PROMETHEUS: OnceLock<Prometheus> = OnceLock::new();
    PROMETHEUS.get_or_init(|| {
        let place = Place::new();
        fs::write(place.join("history"), history()).unwrap();
        let mut blocks = Command::new(programs::promtool());
        // One block holds all of it: promtool reads its input once for each.
        blocks.args(["tsdb", "create-blocks-from", "--max-block-duration=768h"]);
        blocks.args(["openmetrics", "history", "data"]);
        let made = crate::rules::run(blocks.current_dir(place.join(".")));
        assert_eq!(made, Ok(()), "promtool tsdb create-blocks-from");
        fs::remove_file(place.join("history")).unwrap();
        Prometheus::start(place)
    })
}

fn history() -> Vec<u8> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dashboards/history");
    let mut history = Command::new(script);
    let output = fed(history.arg(END.to_string()), exported::text().as_bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output.stdout
}

impl Prometheus {
    fn start(place: Place) -> Self {
        fs::write(place.join("prometheus.yaml"), "{}").unwrap();
        let address = own_address(9091);
        let log = fs::File::create(place.join("log")).unwrap();
        let mut child = leashed(&executable())
            .arg("--")
            .arg(programs::prometheus())
            .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"])
            .arg("--storage.tsdb.retention.time=100y")
            .arg("--query.lookback-delta=25m")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(place.join("."))
            .stderr(log)
            .spawn()
            .unwrap();
        wait_until("Prometheus is ready", Duration::from_secs(60), || {
            if child.try_wait().unwrap().is_some() {
                let log = fs::read_to_string(place.join("log")).unwrap();
                panic!("Prometheus has ended:\n{log}");
            }
            get(address, "/-/ready").is_some()
        });
        Self {
            address,
            _child: child,
            _place: place,
        }
    }

    /// What an expression is at the end.
    pub(super) fn now(&self, expression: &str) -> Vec<Series> {
        self.at(END, expression)
    }

    /// What it was then.
    pub(super) fn at(&self, moment: i64, expression: &str) -> Vec<Series> {
        self.series(&format!("query?time={moment}"), expression)
    }

    /// What it was in the last week.
    pub(super) fn week(&self, expression: &str, step: i64) -> Vec<Series> {
        let start = END - 7 * DAY;
        let range = format!("query_range?start={start}&end={END}&step={step}");
        self.series(&range, expression)
    }

    /// The values that a label has had.
    pub(super) fn label(&self, metric: &str, label: &str) -> Vec<String> {
        let start = END - 7 * DAY;
        let path = format!("label/{label}/values?start={start}&end={END}");
        let data = self.ask(&format!("{path}&match[]={}", encoded(metric)), metric);
        serde_json::from_value(data).unwrap()
    }

    fn series(&self, path: &str, expression: &str) -> Vec<Series> {
        let query = format!("{path}&query={}", encoded(expression));
        let data = self.ask(&query, expression);
        let result = data["result"].as_array();
        let result = result.unwrap_or_else(|| panic!("{expression}: {data}"));
        result.iter().map(series).collect()
    }

    fn ask(&self, path: &str, of: &str) -> Value {
        let body = get(self.address, &format!("/api/v1/{path}"));
        let body = body.unwrap_or_else(|| panic!("Prometheus refuses: {of}"));
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    }
}

fn series(found: &Value) -> Series {
    let several = found["values"].as_array().cloned();
    let samples = several.unwrap_or_else(|| vec![found["value"].clone()]);
    let number = |sample: &Value| sample[1].as_str().unwrap().parse().unwrap();
    Series {
        labels: serde_json::from_value(found["metric"].clone()).unwrap(),
        values: samples.iter().map(number).collect(),
    }
}

/// The body, if the answer is good. In HTTP/1.0 a body comes in one piece.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let answer = exchange(address, &request).ok()?;
    (answer.status == 200).then_some(answer.body)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
