//! Scripts of pipeline aggregations: the one expression of Painless that clients send (`params.a / params.b`, `MovingFunctions.max(values)`).
//!
//! ```text
//!  choice  = or ("?" choice ":" choice)?            or = and ("||" and)*       and = same ("&&" same)*
//!  same    = sum (("==" | "!=" | "<" | "<=" | ">" | ">=") sum)?
//!  sum     = product (("+" | "-") product)*         product = one (("*" | "/" | "%") one)*
//!  one     = "-" one | "!" one | number | name | "params" "." name | Math "." name "(" choice, ... ")" | "(" choice ")"
//! ```
//!
//! Every number has a fraction, as the values of aggregations have there; truth is 1 and its opposite 0. Whatever else Painless knows is refused.

use super::fault::Fault;

/// Bytes of a script.
const SCRIPT_BYTES_MAX: usize = 4096;
/// Brackets and signs within each other.
const DEPTH_MAX: usize = 50;

type Read<T> = Result<T, Fault>;

/// A script, ready to be run.
#[derive(Clone, Debug)]
pub(super) struct Script {
    whole: Node,
    windows: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Number(f64),
    /// The value of a path, by its place among the names.
    Value(usize),
    Negative(Box<Node>),
    Not(Box<Node>),
    Two(Box<Node>, Operator, Box<Node>),
    Choice(Box<(Node, Node, Node)>),
    Math(Math, Vec<Node>),
    /// Over the window of values.
    Moving(Moving, Vec<Node>),
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Plus,
    Minus,
    Times,
    By,
    Rest,
    Less,
    LessOrSame,
    More,
    MoreOrSame,
    Same,
    Other,
    And,
    Or,
}

#[derive(Clone, Copy, Debug)]
enum Math {
    Abs,
    Ceil,
    Floor,
    Round,
    Sqrt,
    Log,
    Log10,
    Exp,
    Pow,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug)]
enum Moving {
    Min,
    Max,
    Sum,
    Mean,
    Linear,
    Ewma,
    Holt,
    Deviation,
}

impl Script {
    /// Reads a script in which `names` are the values that it is given, and `constants` its own parameters; `moving`: it may speak of the window
    /// of values.
    pub(super) fn read(text: &str, names: &[String], constants: &[(String, f64)], moving: bool) -> Read<Script> {
        if text.len() > SCRIPT_BYTES_MAX {
            return Err(Fault::illegal(format!("[script] has {SCRIPT_BYTES_MAX} bytes at most")));
        }
        let mut parser = Parser { text, at: 0, depth: 0, names, constants, moving, windows: 0 };
        parser.word("return");
        let whole = parser.choice()?;
        parser.eat(";");
        match parser.rest().is_empty() {
            true => Ok(Script { whole, windows: parser.windows }),
            false => Err(parser.wrong("the end")),
        }
    }

    /// How often it goes through the window of values.
    pub(super) fn windows(&self) -> usize {
        self.windows
    }

    /// What it gives of these values, by their names' places, and of this window.
    pub(super) fn run(&self, values: &[f64], window: &[f64]) -> f64 {
        self.whole.run(values, window)
    }
}

impl Node {
    fn run(&self, values: &[f64], window: &[f64]) -> f64 {
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        match self {
            Node::Number(n) => *n,
            Node::Value(at) => values.get(*at).copied().unwrap_or(f64::NAN),
            Node::Negative(one) => -one.run(values, window),
            Node::Not(one) => truth(one.run(values, window) == 0.0),
            Node::Choice(parts) => {
                let (asked, then, or) = &**parts;
                if asked.run(values, window) == 0.0 { or.run(values, window) } else { then.run(values, window) }
            }
            Node::Two(a, operator, b) => {
                let (a, b) = (a.run(values, window), b.run(values, window));
                match operator {
                    Operator::Plus => a + b,
                    Operator::Minus => a - b,
                    Operator::Times => a * b,
                    Operator::By => a / b,
                    Operator::Rest => a % b,
                    Operator::Less => truth(a < b),
                    Operator::LessOrSame => truth(a <= b),
                    Operator::More => truth(a > b),
                    Operator::MoreOrSame => truth(a >= b),
                    Operator::Same => truth(a == b),
                    Operator::Other => truth(a != b),
                    Operator::And => truth(a != 0.0 && b != 0.0),
                    Operator::Or => truth(a != 0.0 || b != 0.0),
                }
            }
            Node::Math(math, parts) => {
                let of = |at: usize| parts.get(at).map_or(f64::NAN, |part| part.run(values, window));
                match math {
                    Math::Abs => of(0).abs(),
                    Math::Ceil => of(0).ceil(),
                    Math::Floor => of(0).floor(),
                    Math::Round => (of(0) + 0.5).floor(),
                    Math::Sqrt => of(0).sqrt(),
                    Math::Log => of(0).ln(),
                    Math::Log10 => of(0).log10(),
                    Math::Exp => of(0).exp(),
                    Math::Pow => of(0).powf(of(1)),
                    Math::Min => of(0).min(of(1)),
                    Math::Max => of(0).max(of(1)),
                }
            }
            Node::Moving(moving, parts) => {
                let of = |at: usize| parts.get(at).map_or(f64::NAN, |part| part.run(values, window));
                match moving {
                    Moving::Min => window.iter().copied().fold(f64::NAN, f64::min),
                    Moving::Max => window.iter().copied().fold(f64::NAN, f64::max),
                    Moving::Sum => window.iter().sum(),
                    Moving::Mean => mean(window),
                    Moving::Linear => linear(window),
                    Moving::Ewma => ewma(window, of(0)),
                    Moving::Holt => holt(window, of(0), of(1)),
                    Moving::Deviation => {
                        let mean = of(0);
                        let squares: f64 = window.iter().map(|n| (n - mean) * (n - mean)).sum();
                        (squares / window.len() as f64).sqrt()
                    }
                }
            }
        }
    }
}

/// The mean; of nothing it is no number.
pub(super) fn mean(window: &[f64]) -> f64 {
    window.iter().sum::<f64>() / window.len() as f64
}

/// The mean in which the last value weighs most. As theirs, with one weight more than there are.
pub(super) fn linear(window: &[f64]) -> f64 {
    let weighed = window
        .iter()
        .zip(1..)
        .fold((0.0, 1.0), |(sum, weights), (n, weight)| (sum + n * f64::from(weight), weights + f64::from(weight)));
    if window.is_empty() { f64::NAN } else { weighed.0 / weighed.1 }
}

/// The mean in which older values weigh less and less.
pub(super) fn ewma(window: &[f64], alpha: f64) -> f64 {
    window.iter().copied().reduce(|mean, n| n * alpha + mean * (1.0 - alpha)).unwrap_or(f64::NAN)
}

/// As [`ewma`], with a trend.
pub(super) fn holt(window: &[f64], alpha: f64, beta: f64) -> f64 {
    let mut parts = None;
    for n in window {
        parts = Some(match parts {
            None => (*n, 0.0),
            Some((level, trend)) => {
                let next = alpha * n + (1.0 - alpha) * (level + trend);
                (next, beta * (next - level) + (1.0 - beta) * trend)
            }
        });
    }
    parts.map_or(f64::NAN, |(level, _)| level)
}

struct Parser<'s> {
    text: &'s str,
    at: usize,
    depth: usize,
    names: &'s [String],
    constants: &'s [(String, f64)],
    moving: bool,
    windows: usize,
}

impl<'s> Parser<'s> {
    fn rest(&mut self) -> &'s str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn wrong(&mut self, expected: &str) -> Fault {
        let found: String = self.rest().chars().take(20).collect();
        Fault::illegal(format!("[script] is one expression of numbers: expected {expected} at {found:?}"))
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// A word by itself.
    fn word(&mut self, word: &str) -> bool {
        let begins = |c: char| c.is_alphanumeric() || c == '_';
        self.rest().strip_prefix(word).is_some_and(|behind| !behind.starts_with(begins)) && self.eat(word)
    }

    fn expect(&mut self, token: &str) -> Read<()> {
        if self.eat(token) { Ok(()) } else { Err(self.wrong(token)) }
    }

    fn choice(&mut self) -> Read<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::illegal(format!("[script] stands {DEPTH_MAX} deep at most")));
        }
        let mut node = self.level(0)?;
        if self.eat("?") {
            let then = self.choice()?;
            self.expect(":")?;
            node = Node::Choice(Box::new((node, then, self.choice()?)));
        }
        self.depth -= 1;
        Ok(node)
    }

    /// What binds as tightly as this, or more.
    fn level(&mut self, level: usize) -> Read<Node> {
        const LEVELS: [&[(&str, Operator)]; 5] = [
            &[("||", Operator::Or)],
            &[("&&", Operator::And)],
            &[
                ("==", Operator::Same),
                ("!=", Operator::Other),
                ("<=", Operator::LessOrSame),
                (">=", Operator::MoreOrSame),
                ("<", Operator::Less),
                (">", Operator::More),
            ],
            &[("+", Operator::Plus), ("-", Operator::Minus)],
            &[("*", Operator::Times), ("/", Operator::By), ("%", Operator::Rest)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.one() };
        let mut node = self.level(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(token, _)| self.eat(token)) {
            node = Node::Two(Box::new(node), *operator, Box::new(self.level(level + 1)?));
        }
        Ok(node)
    }

    fn one(&mut self) -> Read<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::illegal(format!("[script] stands {DEPTH_MAX} deep at most")));
        }
        let node = self.signed()?;
        self.depth -= 1;
        Ok(node)
    }

    fn signed(&mut self) -> Read<Node> {
        if self.eat("-") {
            return Ok(Node::Negative(Box::new(self.one()?)));
        }
        if self.eat("!") {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.eat("(") {
            let node = self.choice()?;
            self.expect(")")?;
            return Ok(node);
        }
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        if digits > 0 {
            let number = rest[..digits].parse().map_err(|_| self.wrong("a number"))?;
            self.at += digits;
            // `1.0d`, `100L`: of which kind it is there.
            let _kind = ["d", "D", "f", "F", "L", "l"].into_iter().any(|kind| self.word(kind));
            return Ok(Node::Number(number));
        }
        let name = self.name()?;
        match name {
            "true" => Ok(Node::Number(1.0)),
            "false" => Ok(Node::Number(0.0)),
            "params" => {
                let name = if self.eat("[") {
                    let quote = if self.eat("'") { "'" } else { "\"" };
                    let _begun = quote == "'" || self.eat("\"");
                    let end = self.rest().find(quote).ok_or_else(|| self.wrong(quote))?;
                    let name = &self.rest()[..end];
                    self.at += end + quote.len();
                    self.expect("]")?;
                    name
                } else {
                    self.expect(".")?;
                    self.name()?
                };
                self.value(name)
            }
            "Math" => {
                self.expect(".")?;
                let (math, count) = match self.name()? {
                    "abs" => (Math::Abs, 1),
                    "ceil" => (Math::Ceil, 1),
                    "floor" => (Math::Floor, 1),
                    "round" => (Math::Round, 1),
                    "sqrt" => (Math::Sqrt, 1),
                    "log" => (Math::Log, 1),
                    "log10" => (Math::Log10, 1),
                    "exp" => (Math::Exp, 1),
                    "pow" => (Math::Pow, 2),
                    "min" => (Math::Min, 2),
                    "max" => (Math::Max, 2),
                    other => return Err(Fault::illegal(format!("[script] Math.{other} is not supported"))),
                };
                self.expect("(")?;
                Ok(Node::Math(math, self.parts(count)?))
            }
            "MovingFunctions" if self.moving => {
                self.expect(".")?;
                let (moving, count) = match self.name()? {
                    "min" => (Moving::Min, 0),
                    "max" => (Moving::Max, 0),
                    "sum" => (Moving::Sum, 0),
                    "unweightedAvg" => (Moving::Mean, 0),
                    "linearWeightedAvg" => (Moving::Linear, 0),
                    "ewma" => (Moving::Ewma, 1),
                    "holt" => (Moving::Holt, 2),
                    "stdDev" => (Moving::Deviation, 1),
                    other => return Err(Fault::illegal(format!("[script] MovingFunctions.{other} is not supported"))),
                };
                self.windows += 1;
                self.expect("(")?;
                if !self.word("values") {
                    return Err(self.wrong("values"));
                }
                if count > 0 {
                    self.expect(",")?;
                    return Ok(Node::Moving(moving, self.parts(count)?));
                }
                self.expect(")")?;
                Ok(Node::Moving(moving, Vec::new()))
            }
            name => self.value(name),
        }
    }

    fn name(&mut self) -> Read<&'s str> {
        let rest = self.rest();
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if len == 0 {
            return Err(self.wrong("a value"));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn value(&self, name: &str) -> Read<Node> {
        let place = self.names.iter().position(|n| n == name).map(Node::Value);
        let constant = || self.constants.iter().find(|(n, _)| n == name).map(|(_, n)| Node::Number(*n));
        place.or_else(constant).ok_or_else(|| Fault::illegal(format!("[script] speaks of [{name}], which is not given to it")))
    }

    /// So many values with commas between, and the bracket behind them.
    fn parts(&mut self, count: usize) -> Read<Vec<Node>> {
        let mut parts = Vec::with_capacity(count);
        while parts.len() < count {
            if !parts.is_empty() {
                self.expect(",")?;
            }
            parts.push(self.choice()?);
        }
        self.expect(")")?;
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, moving: bool) -> Option<f64> {
        let names = ["a".to_owned(), "b".to_owned()];
        let script = Script::read(text, &names, &[("k".to_owned(), 10.0)], moving).ok()?;
        Some(script.run(&[6.0, 4.0], &[1.0, 2.0, 6.0]))
    }

    #[test]
    fn expressions_give_what_they_say() {
        for (text, expected) in [
            ("params.a / params.b", 1.5),
            ("return (params.a + params.b) * 100 / params.k;", 100.0),
            ("params['a'] - params[\"b\"] * 2", -2.0),
            ("a - b - 1", 1.0),
            ("2 * -a", -12.0),
            ("a > b && !(b == 4) ? 1 : 2", 2.0),
            ("params.a >= 6 || params.b > 100", 1.0),
            ("Math.max(a, b) + Math.pow(2, 3) % 5", 9.0),
            ("Math.round(2.5) + 1.0d", 4.0),
        ] {
            assert_eq!(run(text, false), Some(expected), "{text}");
        }
        assert!(run("1 / 0.0", false).is_some_and(f64::is_infinite));
        let many = "MovingFunctions.stdDev(values, MovingFunctions.unweightedAvg(values))";
        for (text, expected) in [
            ("MovingFunctions.max(values) - MovingFunctions.min(values)", 5.0),
            ("return MovingFunctions.unweightedAvg(values)", 3.0),
            ("MovingFunctions.sum(values)", 9.0),
            ("MovingFunctions.linearWeightedAvg(values)", 23.0 / 7.0),
            ("MovingFunctions.ewma(values, 0.5)", 3.75),
            ("MovingFunctions.holt(values, 0.5, 0.5)", 3.875),
            (many, (14.0f64 / 3.0).sqrt()),
        ] {
            assert!((run(text, true).expect(text) - expected).abs() < 1e-9, "{text}: {:?}", run(text, true));
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let deep = ["(", "-", "!", "1?"].map(|part| part.repeat(2000));
        let long = "1+".repeat(SCRIPT_BYTES_MAX);
        let bad = [
            "",
            "a +",
            "c",
            "params.c",
            "doc['x'].value",
            "for (;;) {}",
            "Math.random()",
            "a b",
            "1.2.3",
            "Math.pow(1)",
            "values",
        ];
        for text in bad.into_iter().chain(deep.iter().map(String::as_str)).chain([long.as_str()]) {
            assert_eq!(run(text, true), None, "{text:.40}");
        }
        assert_eq!(run("MovingFunctions.max(values)", false), None, "there is no window");
    }
}
