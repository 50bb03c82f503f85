//! By hand, what the rules do not reach; tests/it/notify compares with Prometheus itself.

use super::*;

/// Metric, labels, value.
type Given<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

fn samples(series: &[Given<'_>]) -> Samples {
    let mut samples = Samples::default();
    for (metric, labels, value) in series {
        samples.add(metric, Labels::new(labels.iter().copied()), *value);
    }
    samples
}

/// Two servers of two replicas each.
fn usual() -> Samples {
    samples(&[
        ("a", &[("server", "x"), ("pod", "0")], 1.0),
        ("a", &[("server", "x"), ("pod", "1")], 3.0),
        ("a", &[("server", "y"), ("pod", "0")], f64::NAN),
        ("a", &[("server", "y"), ("pod", "1")], 2.0),
        ("b", &[("server", "x"), ("pod", "0")], 2.0),
        ("b", &[("server", "y"), ("pod", "1")], 2.0),
        ("c", &[], f64::INFINITY),
    ])
}

fn evaluate(text: &str) -> Result<Vec<String>, EvaluationError> {
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut all: Vec<_> = expression
        .evaluate(&usual(), 100.0)?
        .into_iter()
        .map(|sample| {
            let labels: Vec<_> = sample
                .labels
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            format!(
                "{}{{{}}} {}",
                sample.name.unwrap_or_default(),
                labels.join(","),
                sample.value
            )
        })
        .collect();
    all.sort();
    Ok(all)
}

#[track_caller]
fn gives(text: &str, wanted: &[&str]) {
    assert_eq!(
        evaluate(text).as_deref(),
        Ok(wanted
            .iter()
            .map(|&s| s.to_owned())
            .collect::<Vec<_>>()
            .as_slice()),
        "{text}"
    );
}

#[test]
fn comparisons_keep_the_left_value_and_its_name_and_arithmetic_drops_it() {
    gives("a > 2", &["a{pod=1,server=x} 3"]);
    gives("2 < a", &["a{pod=1,server=x} 3"]);
    gives("a != a", &["a{pod=0,server=y} NaN"]);
    gives("a < b", &["a{pod=0,server=x} 1"]);
    gives("a + b", &["{pod=0,server=x} 3", "{pod=1,server=y} 4"]);
    gives("2 - b * 2", &["{pod=0,server=x} -2", "{pod=1,server=y} -2"]);
    gives("a{pod=\"0\",server!=\"y\"} / 0", &["{pod=0,server=x} inf"]);
    gives("c", &["c{} inf"]);
    gives("c{pod!=\"\"}", &[]);
    gives("missing or vector(time())", &["{} 100"]);
}

#[test]
fn aggregation_takes_any_number_before_none() {
    gives("max by (server) (a)", &["{server=x} 3", "{server=y} 2"]);
    gives(
        "min by (server, nothing) (a)",
        &["{server=x} 1", "{server=y} 2"],
    );
    gives(
        "max by (server) (a{pod=\"0\"})",
        &["{server=x} 1", "{server=y} NaN"],
    );
    gives(
        "clamp_min(a, 2)",
        &[
            "{pod=0,server=x} 2",
            "{pod=0,server=y} NaN",
            "{pod=1,server=x} 3",
            "{pod=1,server=y} 2",
        ],
    );
}

#[test]
fn sets_go_by_labels_and_operators_by_precedence() {
    gives(
        "a unless b",
        &["a{pod=0,server=y} NaN", "a{pod=1,server=x} 3"],
    );
    gives("a and b", &["a{pod=0,server=x} 1", "a{pod=1,server=y} 2"]);
    gives(
        "b or a{pod=\"1\"}",
        &[
            "a{pod=1,server=x} 3",
            "b{pod=0,server=x} 2",
            "b{pod=1,server=y} 2",
        ],
    );
    // `unless` binds tighter than `or`, comparison tighter than both, and all lean to the left.
    gives(
        "b unless a or b == 2",
        &["b{pod=0,server=x} 2", "b{pod=1,server=y} 2"],
    );
    gives("a > 0 < 3 > 1", &["a{pod=1,server=y} 2"]);
    gives(
        "10 - 2 - 3 + b * 0",
        &["{pod=0,server=x} 5", "{pod=1,server=y} 5"],
    );
}

#[test]
fn labels_that_are_there_twice_are_an_error() {
    let both = "max by (server) (a) or a{server=\"x\"}";
    gives(
        both,
        &[
            "a{pod=0,server=x} 1",
            "a{pod=1,server=x} 3",
            "{server=x} 3",
            "{server=y} 2",
        ],
    );
    assert_eq!(evaluate("b == (b or c)").map(|all| all.len()), Ok(2));
    let twice = samples(&[
        ("a", &[("x", "1")], 1.0),
        ("a", &[("x", "1")], 2.0),
        ("b", &[("x", "1")], 1.0),
    ]);
    let of = |text| Expression::parse(text).expect(text).evaluate(&twice, 0.0);
    assert_eq!(of("b > a"), Err(EvaluationError::ManyToMany));
    assert_eq!(of("a + b"), Err(EvaluationError::ManyToMany));
    assert_eq!(of("a * 2"), Err(EvaluationError::SameLabels));
    // Filtered first: one is left.
    assert_eq!(of("a == b").map(|all| all.len()), Ok(1));
}

#[test]
fn what_is_not_known_is_refused() {
    for (text, wanted) in [
        ("", "ends in the middle"),
        ("a >", "ends in the middle"),
        ("absent(a)", "absent is not known"),
        ("sum by (x) (a)", "sum is not known"),
        ("max(a)", "unexpected ("),
        ("max by () (a)", "unexpected )"),
        ("a[5m]", "5m]"),
        ("rate(a[5m])", "5m"),
        ("a offset 5m", "5m"),
        ("a =~ b", "unexpected =~"),
        ("a{x=~\"y\"}", "unexpected =~"),
        ("a % 2", "unexpected %"),
        ("a > bool 2", "unexpected 2"),
        ("a == on (x) b", "on is not known"),
        ("-a", "unexpected -"),
        ("1 > 2", "two numbers are compared"),
        ("a or 1", "wants a vector"),
        ("vector(a)", "wants a number"),
        ("clamp_min(a)", "1 arguments where 2"),
        ("a b", "unexpected b"),
        ("a{x=\"y}", "is not understood"),
        ("a $ b", "is not understood"),
        ("1.2.3 * a", "is not understood"),
    ] {
        let error = Expression::parse(text).expect_err(text).to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
    let deep = format!("{}a{}", "(".repeat(40_000), ")".repeat(40_000));
    assert!(Expression::parse(&deep).is_err());
}
