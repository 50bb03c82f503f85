//! Expressions, and how they are read: by precedence, as Prometheus does.

use super::lexer::{Token, words};

/// An expression that can be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(pub(super) Node);

/// Why a text is no expression, or none of those known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(pub(super) String);

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Number(f64),
    /// `time()`.
    Time,
    /// `vector(…)`.
    Vector(Box<Self>),
    /// `clamp_min(…, …)`.
    ClampMin(Box<Self>, Box<Self>),
    Selector {
        metric: String,
        matchers: Vec<Matcher>,
    },
    Aggregate {
        best: Best,
        by: Vec<String>,
        of: Box<Self>,
    },
    Binary(Operator, Box<Self>, Box<Self>),
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matcher {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) equal: bool,
}

/// Which of several values stands for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Best {
    Max,
    Min,
}

/// What stands between two expressions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Set(Set),
    /// Keeps what it holds for.
    Compare(Comparison),
    Arithmetic(Arithmetic),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Set {
    And,
    Or,
    Unless,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// What a part gives.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Scalar,
    Vector,
}

/// Deepest nesting; the deepest rule has seven.
const DEEPEST: u32 = 32;

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser {
            tokens: words(text)?.into_iter().peekable(),
            depth: 0,
        };
        let node = parser.binary(0)?;
        match parser.tokens.next() {
            None => Ok(Self(node)),
            Some(token) => Err(unexpected(Some(&token))),
        }
    }

    /// The metrics that it looks at.
    pub fn metrics(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.metrics(&mut found);
        found
    }
}

impl Node {
    fn metrics<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) | Self::Time => {}
            Self::Selector { metric, .. } => found.push(metric),
            Self::Vector(of) | Self::Aggregate { of, .. } => of.metrics(found),
            Self::ClampMin(first, second) | Self::Binary(_, first, second) => {
                first.metrics(found);
                second.metrics(found);
            }
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Number(_) | Self::Time => Kind::Scalar,
            Self::Binary(_, first, second) => match (first.kind(), second.kind()) {
                (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                _ => Kind::Vector,
            },
            _ => Kind::Vector,
        }
    }

    fn must_be(self, kind: Kind, of: &str) -> Result<Self, SyntaxError> {
        if self.kind() == kind {
            return Ok(self);
        }
        let wanted = match kind {
            Kind::Scalar => "a number",
            Kind::Vector => "a vector",
        };
        Err(SyntaxError(format!("{of} wants {wanted}")))
    }
}

impl Operator {
    /// The operator of a word, and how tightly it binds.
    fn of(token: &Token) -> Option<(Self, u8)> {
        use Arithmetic::{Add, Divide, Multiply, Subtract};
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let word = match token {
            Token::Name(name) => name.as_str(),
            Token::Sign(sign) => sign,
            Token::Number(_) | Token::Text(_) => return None,
        };
        Some(match word {
            "or" => (Self::Set(Set::Or), 1),
            "and" => (Self::Set(Set::And), 2),
            "unless" => (Self::Set(Set::Unless), 2),
            "==" => (Self::Compare(Equal), 3),
            "!=" => (Self::Compare(NotEqual), 3),
            ">" => (Self::Compare(Greater), 3),
            ">=" => (Self::Compare(GreaterOrEqual), 3),
            "<" => (Self::Compare(Less), 3),
            "<=" => (Self::Compare(LessOrEqual), 3),
            "+" => (Self::Arithmetic(Add), 4),
            "-" => (Self::Arithmetic(Subtract), 4),
            "*" => (Self::Arithmetic(Multiply), 5),
            "/" => (Self::Arithmetic(Divide), 5),
            _ => return None,
        })
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: u32,
}

type Parsed = Result<Node, SyntaxError>;

impl Parser {
    /// Operators that bind at least as tightly as `least`; all of ours lean to the left.
    fn binary(&mut self, least: u8) -> Parsed {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(SyntaxError("nested too deeply".to_owned()));
        }
        let mut first = self.single()?;
        while let Some((operator, tightness)) = self
            .tokens
            .peek()
            .and_then(Operator::of)
            .filter(|(_, tightness)| *tightness >= least)
        {
            self.tokens.next();
            let second = self.binary(tightness + 1)?;
            first = joined(operator, first, second)?;
        }
        self.depth -= 1;
        Ok(first)
    }

    fn single(&mut self) -> Parsed {
        match self.tokens.next() {
            Some(Token::Number(number)) => Ok(Node::Number(number)),
            Some(Token::Sign("(")) => {
                let inner = self.binary(0)?;
                self.sign(")")?;
                Ok(inner)
            }
            Some(Token::Name(name)) => self.named(name),
            other => Err(unexpected(other.as_ref())),
        }
    }

    /// What begins with a name.
    fn named(&mut self, name: String) -> Parsed {
        match name.as_str() {
            "max" => self.aggregate(Best::Max),
            "min" => self.aggregate(Best::Min),
            "time" => {
                self.sign("(")?;
                self.sign(")")?;
                Ok(Node::Time)
            }
            "vector" => {
                let [of] = self.arguments()?;
                Ok(Node::Vector(Box::new(of.must_be(Kind::Scalar, "vector")?)))
            }
            "clamp_min" => {
                let [of, least] = self.arguments()?;
                Ok(Node::ClampMin(
                    Box::new(of.must_be(Kind::Vector, "clamp_min")?),
                    Box::new(least.must_be(Kind::Scalar, "clamp_min")?),
                ))
            }
            _ => {
                let next = self.tokens.peek();
                if next == Some(&Token::Sign("("))
                    || matches!(next, Some(Token::Name(word)) if word == "by")
                {
                    return Err(SyntaxError(format!("{name} is not known here")));
                }
                self.selector(name)
            }
        }
    }

    fn selector(&mut self, metric: String) -> Parsed {
        let mut matchers = Vec::new();
        if self.tokens.next_if_eq(&Token::Sign("{")).is_some() {
            while self.tokens.next_if_eq(&Token::Sign("}")).is_none() {
                let label = self.name()?;
                let equal = match self.tokens.next() {
                    Some(Token::Sign("=")) => true,
                    Some(Token::Sign("!=")) => false,
                    other => return Err(unexpected(other.as_ref())),
                };
                let value = match self.tokens.next() {
                    Some(Token::Text(value)) => value,
                    other => return Err(unexpected(other.as_ref())),
                };
                matchers.push(Matcher {
                    label,
                    value,
                    equal,
                });
                if self.tokens.peek() != Some(&Token::Sign("}")) {
                    self.sign(",")?;
                }
            }
        }
        Ok(Node::Selector { metric, matchers })
    }

    /// `by (a, b) (…)`.
    fn aggregate(&mut self, best: Best) -> Parsed {
        match self.tokens.next() {
            Some(Token::Name(word)) if word == "by" => {}
            other => return Err(unexpected(other.as_ref())),
        }
        self.sign("(")?;
        let mut by = vec![self.name()?];
        while self.tokens.next_if_eq(&Token::Sign(",")).is_some() {
            by.push(self.name()?);
        }
        self.sign(")")?;
        let [of] = self.arguments()?;
        let of = Box::new(of.must_be(Kind::Vector, "an aggregation")?);
        Ok(Node::Aggregate { best, by, of })
    }

    fn arguments<const N: usize>(&mut self) -> Result<[Node; N], SyntaxError> {
        self.sign("(")?;
        let mut all = vec![self.binary(0)?];
        while self.tokens.next_if_eq(&Token::Sign(",")).is_some() {
            all.push(self.binary(0)?);
        }
        self.sign(")")?;
        let given = all.len();
        all.try_into()
            .map_err(|_| SyntaxError(format!("{given} arguments where {N} are wanted")))
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.tokens.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(unexpected(other.as_ref())),
        }
    }

    fn sign(&mut self, wanted: &'static str) -> Result<(), SyntaxError> {
        match self.tokens.next() {
            Some(Token::Sign(sign)) if sign == wanted => Ok(()),
            other => Err(unexpected(other.as_ref())),
        }
    }
}

fn joined(operator: Operator, first: Node, second: Node) -> Parsed {
    let (first, second) = match operator {
        Operator::Set(_) => (
            first.must_be(Kind::Vector, "a set operator")?,
            second.must_be(Kind::Vector, "a set operator")?,
        ),
        Operator::Compare(_) if first.kind() == Kind::Scalar && second.kind() == Kind::Scalar => {
            return Err(SyntaxError("two numbers are compared".to_owned()));
        }
        Operator::Compare(_) | Operator::Arithmetic(_) => (first, second),
    };
    Ok(Node::Binary(operator, Box::new(first), Box::new(second)))
}

fn unexpected(token: Option<&Token>) -> SyntaxError {
    SyntaxError(match token {
        None => "it ends in the middle".to_owned(),
        Some(Token::Name(name)) => format!("unexpected {name}"),
        Some(Token::Number(number)) => format!("unexpected {number}"),
        Some(Token::Text(text)) => format!("unexpected \"{text}\""),
        Some(Token::Sign(sign)) => format!("unexpected {sign}"),
    })
}
