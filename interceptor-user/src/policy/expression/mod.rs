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
mod scene;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub(super) use self::scene::joined;
pub use self::{
    attribute::{Attribute, Stage},
    scene::Scene,
    value::{Fault, Type, Value},
};
use self::{
    check::Checker,
    evaluate::Evaluation,
    tree::{Function, Node},
};

/// Bytes of an expression at the most.
pub const LENGTH: usize = 4096;

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
}

impl Expression {
    /// `true`.
    pub fn always() -> Self {
        Self { text: "true".to_owned(), node: Node::Literal(Value::Bool(true)), kind: Type::Bool, stage: Stage::Flow }
    }

    /// From its text.
    pub fn compile(text: &str) -> Result<Self, Problem> {
        if text.len() > LENGTH {
            return Err(Problem { offset: 0, text: format!("an expression has {LENGTH} bytes at the most") });
        }
        // Without macros, which are checked as the calls that they are written as.
        let parser = cel::Env::default().with_optional_support(false).parser().max_recursion_depth(48);
        let (tree, source) = parser.parse_with_source_info(text).map_err(|errors| syntax(text, &errors))?;
        let (node, kind) = Checker::new(&source).expression(&tree)?;
        let stage = stage(&node);
        Ok(Self { text: text.to_owned(), node, kind, stage })
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

    /// Is it true of the exchange? A fault says why it cannot be told.
    pub fn test(&self, scene: &Scene<'_>) -> Result<bool, Fault> {
        Evaluation::new(scene).truth(&self.node)
    }

    /// Can it still be true of the exchange? No if a side of its conjunction is false, or has no value and never will.
    pub fn is_possible(&self, scene: &Scene<'_>) -> bool {
        let evaluation = Evaluation::new(scene);
        self.node.conjuncts().iter().all(|node| matches!(evaluation.truth(node), Ok(true) | Err(Fault::Unknown)))
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

/// At each `&&` that is in no brackets and no quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut sides, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    let (mut quote, mut escaped, mut before) = (None, false, ' ');
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '(' || c == '[' => depth += 1,
            None if c == ')' || c == ']' => depth -= 1,
            None if c == '&' && before == '&' && depth == 0 => {
                sides.push(text.get(start..at.saturating_sub(1)).unwrap_or_default().trim());
                start = at + 1;
            }
            None => {}
        }
        before = c;
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
    let offset = (before + column.saturating_sub(1)).min(text.chars().count());
    Problem { offset, text: format!("this is not CEL: {said}") }
}
