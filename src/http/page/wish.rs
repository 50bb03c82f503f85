//! What a visitor of the overview wants to see: out of the query of the address, where anything may stand.

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::SEGMENT;

/// Which servers, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Wish {
    /// What their names contain; empty: any.
    pub(super) name: String,
    /// How bad they have to be.
    pub(super) show: Show,
    /// What they are sorted by.
    pub(super) sort: Sort,
    /// Whether the browser is to ask again every half minute.
    pub(in crate::http) reload: bool,
}

/// How bad the servers that are shown have to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Show {
    #[default]
    All,
    /// Doubtful or bad.
    Attention,
    Bad,
}

/// What the servers are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// The worst first.
    #[default]
    Severity,
    Name,
    /// The oldest newest backup first.
    Age,
    /// The largest newest backup first.
    Size,
    /// The fullest volume first.
    Fill,
}

/// The longest name looked for; those of servers are shorter.
const LONGEST: usize = 200;

impl Show {
    pub(super) const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::All, "all", "all"),
        (Self::Attention, "attention", "doubtful and no"),
        (Self::Bad, "bad", "no only"),
    ];
}

impl Sort {
    pub(super) const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Severity, "severity", "worst first"),
        (Self::Name, "name", "name"),
        (Self::Age, "age", "oldest first"),
        (Self::Size, "size", "largest first"),
        (Self::Fill, "fill", "fullest first"),
    ];
}

impl Wish {
    /// Reads a query. What is not understood counts as not said: a page for people does not argue.
    pub(in crate::http) fn read(query: &str) -> Self {
        let mut wish = Self::default();
        for parameter in query.split('&') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            // As forms send it.
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy();
            match key {
                "name" => wish.name = value.trim().chars().take(LONGEST).collect(),
                "show" => wish.show = chosen(&Show::ALL, &value).unwrap_or_default(),
                "sort" => wish.sort = chosen(&Sort::ALL, &value).unwrap_or_default(),
                "reload" => wish.reload = value == "1",
                _ => {}
            }
        }
        wish
    }
}

impl Wish {
    /// The address of the same page for the same wish, reloading or not.
    pub(super) fn query(&self, reload: bool) -> String {
        let mut query = "?".to_owned();
        if !self.name.is_empty() {
            query += &format!("name={}&", utf8_percent_encode(&self.name, SEGMENT));
        }
        if self.show != Show::default() {
            query += &format!("show={}&", key(&Show::ALL, self.show));
        }
        if self.sort != Sort::default() {
            query += &format!("sort={}&", key(&Sort::ALL, self.sort));
        }
        query += if reload { "reload=1" } else { "" };
        query.trim_end_matches('&').to_owned()
    }
}

fn key<T: Copy + PartialEq>(all: &[(T, &'static str, &'static str)], chosen: T) -> &'static str {
    let mut all = all.iter();
    all.find(|(choice, ..)| *choice == chosen)
        .map_or("", |(_, key, _)| key)
}

fn chosen<T: Copy>(all: &[(T, &str, &str)], value: &str) -> Option<T> {
    let mut all = all.iter();
    all.find(|(_, key, _)| *key == value)
        .map(|(choice, ..)| *choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_an_address_and_comes_back_from_it() {
        for query in [
            "?",
            "?reload=1",
            "?name=%C3%A4%20%26x&show=bad&sort=fill&reload=1",
            "?sort=age",
        ] {
            let wish = Wish::read(query.trim_start_matches('?'));
            assert_eq!(wish.query(wish.reload), query);
        }
    }

    #[test]
    fn a_query_is_read_and_nonsense_counts_as_nothing() {
        let wish = Wish::read("name=a+%3Cb%3E&show=bad&sort=fill&reload=1&x=y");
        assert_eq!(wish.name, "a <b>");
        assert_eq!(
            (wish.show, wish.sort, wish.reload),
            (Show::Bad, Sort::Fill, true)
        );
        for nonsense in ["", "&&=&%", "show=%ff&sort=&reload=yes", "name"] {
            assert_eq!(Wish::read(nonsense), Wish::default(), "{nonsense}");
        }
        let long = Wish::read(&format!("name={}", "x".repeat(10_000)));
        assert_eq!(long.name.len(), LONGEST);
    }
}
