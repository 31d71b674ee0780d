//! A scenario as it is written: names are text, nothing is looked up yet.

use crate::source::Span;

/// A name and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Name<'s> {
    pub text: &'s str,
    pub span: Span,
}

/// A whole file.
#[derive(Debug, Default)]
pub struct File<'s> {
    pub items: Vec<Item<'s>>,
}

/// What can stand outside of every body.
#[derive(Debug)]
pub enum Item<'s> {
    /// `scenario "name";`
    Scenario(Name<'s>),
    /// `cpus 2;`
    Cpus(i64, Span),
    /// `preempt none;`
    Preempt(Name<'s>),
    /// `memory tso;`
    Memory(Name<'s>),
    /// `expect ok;` (no name) or `expect violated NAME;`
    Expect(Option<Name<'s>>, Span),
    /// `rule NAME;`
    Rule(Name<'s>),
    /// `invariant NAME: expr;`
    Invariant(Name<'s>, Expr<'s>),
    /// `enum NAME { A, B = 3 };`
    Enum(Option<Name<'s>>, Vec<(Name<'s>, Option<Expr<'s>>)>),
    Decl(Decl<'s>),
    Func(Func<'s>),
    Source(Source<'s>),
}

/// A declaration of storage or locks.
#[derive(Debug)]
pub struct Decl<'s> {
    pub percpu: bool,
    pub constant: bool,
    pub ty: Type<'s>,
    pub declarators: Vec<Declarator<'s>>,
}

/// One name of a declaration.
#[derive(Debug)]
pub struct Declarator<'s> {
    pub name: Name<'s>,
    pub len: Option<Expr<'s>>,
    pub range: Option<(Expr<'s>, Expr<'s>)>,
    pub init: Option<Init<'s>>,
    pub fairness: Option<Name<'s>>,
    pub span: Span,
}

/// What stands behind the `=` of a declaration.
#[derive(Debug)]
pub enum Init<'s> {
    One(Expr<'s>),
    List(Vec<Expr<'s>>, Span),
}

/// A type as declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Type<'s> {
    pub kind: TypeKind<'s>,
    pub span: Span,
}

/// The types of the language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TypeKind<'s> {
    Void,
    Bool,
    Int {
        unsigned: bool,
    },
    Enum(Name<'s>),
    Mask,
    Atomic,
    Spin,
    RawSpin,
    Rw,
    Mutex,
    RwSem,
    Sem,
    Completion,
    Seqcount,
    Seqlock,
    Csd,
    WaitQueue,
    Srcu,
    RcuHead,
    /// Not a type; already reported.
    Unknown,
}

/// A function, to be inlined where it is called.
#[derive(Debug)]
pub struct Func<'s> {
    pub name: Name<'s>,
    pub params: Vec<Param<'s>>,
    pub body: Vec<Stmt<'s>>,
}

/// A parameter.
#[derive(Debug)]
pub struct Param<'s> {
    pub ty: Type<'s>,
    pub pointer: bool,
    pub name: Option<Name<'s>>,
    pub span: Span,
}

/// What can run.
#[derive(Debug)]
pub struct Source<'s> {
    pub kind: Name<'s>,
    pub name: Name<'s>,
    pub on: Option<On<'s>>,
    pub times: Option<(i64, Span)>,
    pub raised: Option<Span>,
    pub body: Vec<Stmt<'s>>,
    pub span: Span,
}

/// Where a source runs.
#[derive(Clone, Copy, Debug)]
pub enum On<'s> {
    Any,
    Cpu(i64, Name<'s>),
}

/// A statement. `span` is all of it, `head` what is shown as its line (an `if` without its branches).
#[derive(Debug)]
pub struct Stmt<'s> {
    pub kind: StmtKind<'s>,
    pub span: Span,
    pub head: Span,
}

#[derive(Debug)]
pub enum StmtKind<'s> {
    Empty,
    Block(Vec<Stmt<'s>>),
    Decl(Decl<'s>),
    /// `place op= value`; the operator is empty for `=`.
    Assign(Expr<'s>, &'static str, Expr<'s>),
    /// A call, for what it does.
    Do(Expr<'s>),
    If(Expr<'s>, Box<Stmt<'s>>, Option<Box<Stmt<'s>>>),
    While(Expr<'s>, Box<Stmt<'s>>),
    DoWhile(Box<Stmt<'s>>, Expr<'s>),
    ForEachCpu(Name<'s>, Expr<'s>, Box<Stmt<'s>>),
    Either(Vec<Stmt<'s>>),
    Atomic(Box<Stmt<'s>>),
    Assert(Expr<'s>),
    Label(Name<'s>),
    Goto(Name<'s>),
    Return,
    Break,
    Continue,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr<'s> {
    pub kind: ExprKind<'s>,
    pub span: Span,
    /// How deep it is nested; the parser keeps it below its limit, so that walks may recurse.
    pub depth: u16,
}

#[derive(Clone, Debug)]
pub enum ExprKind<'s> {
    Int(i64),
    Str,
    Name(&'s str),
    Unary(&'static str, Box<Expr<'s>>),
    Binary(&'static str, Box<Expr<'s>>, Box<Expr<'s>>),
    Ternary(Box<Expr<'s>>, Box<Expr<'s>>, Box<Expr<'s>>),
    Index(Box<Expr<'s>>, Box<Expr<'s>>),
    Call(Name<'s>, Vec<Expr<'s>>),
}
