//! Conditions and values in policies: CEL, the language of Kubernetes and Envoy (<https://cel.dev>).
//!
//! The `cel` crate parses; what it gives is checked against what is known of exchanges and evaluated here, because of three
//! things: an expression that names what does not exist, or compares what is never equal, is refused before it is in force;
//! what is not known yet (the response, while the request's head has come) is a value of its own, so that a rule can be
//! decided as early as possible; and an evaluation takes well under a microsecond and has an upper bound. What is left out
//! of CEL: bytes, maps and messages that are written out, macros inside macros, patterns that are not constant.
//! `tests::agreement` holds the rest to what the crate's own evaluation gives.

mod attribute;
mod check;
mod evaluate;
mod function;
mod reach;
mod scene;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub(super) use self::scene::joined;
pub use self::{
    attribute::{Attribute, Stage},
    scene::{Asked, Scene},
    value::{Fault, Type, Value},
};
use self::{
    check::Checker,
    evaluate::Evaluation,
    tree::{Function, Node},
};
use crate::model::Reach;

/// Bytes of an expression at the most.
pub const LENGTH: usize = 4096;

/// Operators and brackets that are inside of each other at the most.
const DEPTH: usize = 64;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: in characters from its beginning.
    pub offset: usize,
    /// What, and what would be right.
    pub text: String,
}

/// An expression, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    node: Node,
    kind: Type,
    stage: Stage,
    of_request: bool,
}

impl Expression {
    /// `true`.
    pub fn always() -> Self {
        Self {
            text: "true".to_owned(),
            node: Node::Literal(Value::Bool(true)),
            kind: Type::Bool,
            stage: Stage::Flow,
            of_request: true,
        }
    }

    /// From its text.
    pub fn compile(text: &str) -> Result<Self, Problem> {
        if text.len() > LENGTH {
            return Err(Problem { offset: 0, text: format!("an expression has {LENGTH} bytes at the most") });
        }
        if depth(text) > DEPTH {
            return Err(Problem {
                offset: 0,
                text: "it is nested too deep, or too much in a row; divide it".to_owned(),
            });
        }
        // Without macros, which are checked as the calls that they are written as.
        let parser = cel::Env::default().with_optional_support(false).parser().max_recursion_depth(48);
        let (tree, source) = parser.parse_with_source_info(text).map_err(|errors| syntax(text, &errors))?;
        let (node, kind) = Checker::new(&source).expression(&tree)?;
        let (stage, of_request) = (stage(&node), of_request(&node));
        Ok(Self { text: text.to_owned(), node, kind, stage, of_request })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it gives.
    pub const fn kind(&self) -> Type {
        self.kind
    }

    /// When all that it depends on is known.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Does the whole request tell it, and not its head alone?
    pub fn asks_of_content(&self) -> bool {
        self.of_request && self.stage >= Stage::End
    }

    /// Does it ask for something that is known from this stage on?
    pub fn asks_of(&self, stage: Stage) -> bool {
        let mut found = false;
        self.node.walk(&mut |node| {
            if let Node::Attribute(attribute) | Node::Field(attribute, _) = node {
                found |= attribute.stage() == stage;
            }
        });
        found
    }

    /// Is it true of the exchange? A fault says why it cannot be told.
    pub fn test(&self, scene: &Scene<'_>) -> Result<bool, Fault> {
        Evaluation::new(scene).truth(&self.node)
    }

    /// Can it still be true of the exchange? No if a side of its conjunction is false, or has no value and never will.
    pub fn is_possible(&self, scene: &Scene<'_>) -> bool {
        let evaluation = Evaluation::new(scene);
        self.node.conjuncts().iter().all(|node| matches!(evaluation.truth(node), Ok(true) | Err(Fault::Unknown)))
    }

    /// Connections of whose exchanges it may be true.
    pub fn reach(&self) -> Reach {
        reach::reach(&self.node)
    }

    /// What it gives for the exchange.
    pub fn value<'a>(&'a self, scene: &Scene<'a>) -> Result<Value<'a>, Fault> {
        Evaluation::new(scene).value(&self.node)
    }

    /// The sides of its conjunction, each by itself; itself where it is none.
    pub fn conjuncts(&self) -> Vec<Self> {
        let sides: Option<Vec<Self>> = match &self.node {
            Node::All(_) => split(&self.text).into_iter().map(|side| Self::compile(side).ok()).collect(),
            _ => None,
        };
        sides.unwrap_or_else(|| vec![self.clone()])
    }

    /// Attributes that it names.
    pub fn attributes(&self) -> Vec<Attribute> {
        let mut all = Vec::new();
        self.node.walk(&mut |node| {
            if let Node::Attribute(attribute) | Node::Field(attribute, _) = node
                && !all.contains(attribute)
            {
                all.push(*attribute);
            }
        });
        all
    }
}

/// How deep the tree of an expression is at the most. Parser and check go down it by recursion, so it is bounded before it is
/// parsed: by the operators and brackets that stand one behind the other, or around, with none between that the parser
/// makes siblings of: `&&`, `||`, `,`.
fn depth(text: &str) -> usize {
    let (mut outer, mut here, mut most) = (Vec::new(), 0_usize, 0_usize);
    for (at, c) in outside_quotes(text) {
        match c {
            '(' | '[' | '{' => {
                outer.push(here);
                here += 2;
            }
            ')' | ']' | '}' => here = outer.pop().unwrap_or(0) + 1,
            ',' => here = outer.last().map_or(0, |outer| outer + 2),
            '&' | '|' if text.get(..at).is_some_and(|before| before.ends_with(c)) => {
                here = outer.last().map_or(0, |outer| outer + 2);
            }
            '.' | '+' | '-' | '*' | '/' | '%' | '?' | ':' | '!' | '<' | '>' | '=' => here += 1,
            // Of `in`, which is a word, there is no more than of spaces.
            ' ' | '\t' | '\r' | '\n' if text.get(..at).is_some_and(|before| before.ends_with("in")) => here += 1,
            _ => {}
        }
        most = most.max(here);
    }
    most
}

/// Characters that are in no string, with where they are.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut escaped) = (None, false);
    text.char_indices().filter(move |(_, c)| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if *c == '\\' => escaped = true,
            Some(open) if *c == open => quote = None,
            Some(_) => {}
            None if *c == '\'' || *c == '"' => quote = Some(*c),
            None => return true,
        }
        false
    })
}

/// At each `&&` that is in no brackets and no quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut sides, mut start, mut depth, mut before) = (Vec::new(), 0, 0_i32, None);
    for (at, c) in outside_quotes(text) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '&' if depth == 0 && before.is_some_and(|before| before + 1 == at && before >= start) => {
                sides.push(text.get(start..at.saturating_sub(1)).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
        before = (c == '&').then_some(at);
    }
    sides.push(text.get(start..).unwrap_or_default().trim());
    sides
}

fn stage(node: &Node) -> Stage {
    let mut stage = Stage::Flow;
    node.walk(&mut |node| {
        if let Node::Attribute(attribute) | Node::Field(attribute, _) = node {
            stage = stage.max(attribute.stage());
        }
    });
    stage
}

/// Is all that it depends on known with the whole request?
fn of_request(node: &Node) -> bool {
    let mut all = true;
    node.walk(&mut |node| {
        if let Node::Attribute(attribute) | Node::Field(attribute, _) = node {
            all &= attribute.is_of_request();
        }
    });
    all
}

/// Functions of expressions: how each is called and what it is.
pub fn functions() -> impl Iterator<Item = &'static str> {
    const WRITTEN: [&str; 3] = [
        "has(a.b): is there such a value?",
        "string.matches('^/v2/'): does a part of it fit the pattern (RE2)?",
        "list.all(x, ...), exists, exists_one, filter, map: of each element x, or each key of a map",
    ];
    WRITTEN.into_iter().chain(Function::ALL.iter().map(|function| function.doc()))
}

/// The parser's first error, as an offset.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Problem {
    let Some(error) = errors.errors.first() else { return Problem { offset: 0, text: "it cannot be read".to_owned() } };
    let (line, column) = (usize::try_from(error.pos.0).unwrap_or(1), usize::try_from(error.pos.1).unwrap_or(1));
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    // What the parser expected instead are the names of its rules.
    let said = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    let said = said.split(" expecting ").next().unwrap_or(said);
    let said = match said.strip_prefix("token recognition error at: ") {
        _ if said.contains("<EOF>") => "it ends where more is expected".to_owned(),
        Some(token) if token.starts_with("'=") => "`=` is no operator; did you mean `==`?".to_owned(),
        Some(token) => format!("{token} is not expected here"),
        None => said.to_owned(),
    };
    let offset = (before + column.saturating_sub(1)).min(text.chars().count());
    Problem { offset, text: format!("this is not CEL: {said}") }
}
