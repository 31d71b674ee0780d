//! Statements.

use super::{Parsed, Parser, Reported};
use crate::ast::{Decl, Expr, ExprKind, Stmt, StmtKind};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::token::Kind;

impl<'s> Parser<'s, '_> {
    /// `{ statement ... }`; `of` says whose, for the message about a missing `}`.
    pub(super) fn block(&mut self, of: &str) -> Parsed<(Vec<Stmt<'s>>, Span)> {
        if !self.is("{") {
            return Err(self.expected(&format!("`{{` with the body of {of}")));
        }
        let open = self.bump();
        let mut statements = Vec::new();
        while !self.is("}") {
            if self.ended() || self.out.full() || self.at_item() {
                if self.out.full() || self.depth_exhausted() {
                    return Err(Reported);
                }
                let span = self.span();
                self.report(
                    Diagnostic::new(
                        &code::UNCLOSED,
                        open,
                        format!("the body of {of} has no end"),
                    )
                    .label("this `{` is not closed")
                    .also(span, "expected `}` before this"),
                );
                return Ok((statements, open.to(self.before())));
            }
            let before = self.at;
            match self.deeper(Self::statement) {
                Ok(statement) => statements.push(statement),
                Err(Reported) => self.recover(),
            }
            if self.at == before && !self.is("}") {
                self.bump(); // never stand still
            }
        }
        let close = self.bump();
        Ok((statements, open.to(close)))
    }

    /// The parser has given up on the rest of the file.
    fn depth_exhausted(&self) -> bool {
        self.ended()
            && self
                .out
                .list
                .iter()
                .any(|d| d.code.name == code::TOO_DEEP.name)
    }

    /// An item starts here, though a body is open: the body's `}` is missing.
    fn at_item(&self) -> bool {
        let Kind::Name(word) = self.peek() else {
            return false;
        };
        match word {
            "task" | "irq" | "softirq" | "timer" | "nmi" | "work" | "stopper" => {
                matches!(self.ahead(1), Kind::Name(_))
                    && matches!(self.ahead(2), Kind::Name(_) | Kind::Mark("{"))
            }
            "void" => matches!(self.ahead(1), Kind::Name(_)) && self.ahead(2) == Kind::Mark("("),
            "scenario" => matches!(self.ahead(1), Kind::Str(_)),
            "cpus" => matches!(self.ahead(1), Kind::Int(_)),
            "invariant" => {
                matches!(self.ahead(1), Kind::Name(_)) && self.ahead(2) == Kind::Mark(":")
            }
            _ => false,
        }
    }

    fn statement(&mut self) -> Parsed<Stmt<'s>> {
        let start = self.span();
        if let Some(reported) = self.refuse_statement() {
            return Err(reported);
        }
        let kind = match self.peek() {
            Kind::Mark(";") => {
                self.bump();
                StmtKind::Empty
            }
            Kind::Mark("{") => {
                let (body, span) = self.block("this block")?;
                return Ok(Stmt {
                    kind: StmtKind::Block(body),
                    span,
                    head: span,
                });
            }
            Kind::Name(word) => match word {
                "if" if self.ahead(1) == Kind::Mark("(") => return self.if_statement(),
                "while" => {
                    self.bump();
                    let (condition, close) = self.condition("while")?;
                    let body = Box::new(self.deeper(Self::statement)?);
                    // A wait is shown as one line: `while (!done) cpu_relax();`
                    let waits = matches!(body.kind, StmtKind::Empty | StmtKind::Do(_));
                    let head = start.to(if waits { body.span } else { close });
                    return Ok(Stmt {
                        span: start.to(body.span),
                        kind: StmtKind::While(condition, body),
                        head,
                    });
                }
                "do" if self.ahead(1) == Kind::Mark("{")
                    || matches!(self.ahead(1), Kind::Name(_)) =>
                {
                    self.bump();
                    let body = Box::new(self.deeper(Self::statement)?);
                    if !self.is_word("while") {
                        return Err(self.expected("`while (...)` after the body of `do`"));
                    }
                    let head = self.bump();
                    let (condition, _) = self.condition("while")?;
                    let end = self.semicolon("`while (...)`")?;
                    return Ok(Stmt {
                        span: start.to(end),
                        kind: StmtKind::DoWhile(body, condition),
                        head: head.to(end),
                    });
                }
                "for_each_cpu"
                | "for_each_online_cpu"
                | "for_each_possible_cpu"
                | "for_each_present_cpu" => {
                    return self.for_each_cpu(word, start);
                }
                "either" if self.ahead(1) == Kind::Mark("{") => return self.either(start),
                "atomic" if self.ahead(1) == Kind::Mark("{") => {
                    self.bump();
                    let (body, span) = self.block("`atomic`")?;
                    let block = Stmt {
                        kind: StmtKind::Block(body),
                        span,
                        head: span,
                    };
                    return Ok(Stmt {
                        kind: StmtKind::Atomic(Box::new(block)),
                        span: start.to(span),
                        head: start.to(span),
                    });
                }
                "assert" if self.ahead(1) == Kind::Mark("(") => {
                    self.bump();
                    let (condition, _) = self.condition("assert")?;
                    self.semicolon("this assertion")?;
                    StmtKind::Assert(condition)
                }
                "goto" => {
                    self.bump();
                    let label = self.name("the label to go to")?;
                    self.semicolon("`goto`")?;
                    StmtKind::Goto(label)
                }
                "return" => {
                    let span = self.bump();
                    if !self.is(";") && !self.is("}") {
                        let value = self.expr();
                        let whole = value.map_or(span, |e| span.to(e.span));
                        self.refuse(
                            whole,
                            "results of your own functions",
                            "let the function assign a variable, and write `return;`",
                        );
                    }
                    self.semicolon("`return`")?;
                    StmtKind::Return
                }
                "break" => {
                    self.bump();
                    self.semicolon("`break`")?;
                    StmtKind::Break
                }
                "continue" => {
                    self.bump();
                    self.semicolon("`continue`")?;
                    StmtKind::Continue
                }
                "else" => {
                    let span = self.bump();
                    return Err(self.error(&code::UNEXPECTED, span, "this `else` has no `if`"));
                }
                "or" if self.ahead(1) == Kind::Mark("{") => {
                    let span = self.bump();
                    return Err(self.error(
                        &code::UNEXPECTED,
                        span,
                        "this `or` has no `either { ... }` before it",
                    ));
                }
                _ if self.ahead(1) == Kind::Mark(":") && self.ahead(2) != Kind::Mark(":") => {
                    let name = self.name("a label")?;
                    self.bump();
                    StmtKind::Label(name)
                }
                "struct" | "union" if self.ahead(1) == Kind::Mark("{") => {
                    let span = self.bump();
                    return Err(self.struct_definition(span));
                }
                _ if self.at_type() => {
                    let (ty, constant) = self.ty()?;
                    let declarators = self.declarators(true)?;
                    self.semicolon("this declaration")?;
                    StmtKind::Decl(Decl {
                        percpu: false,
                        constant,
                        ty,
                        declarators,
                    })
                }
                _ => self.simple()?,
            },
            Kind::Mark("*" | "++" | "--" | "(") => self.simple()?,
            _ => return Err(self.expected("a statement")),
        };
        let span = start.to(self.before());
        Ok(Stmt {
            kind,
            span,
            head: span,
        })
    }

    fn if_statement(&mut self) -> Parsed<Stmt<'s>> {
        let start = self.bump();
        let (condition, close) = self.condition("if")?;
        let then = Box::new(self.deeper(Self::statement)?);
        let otherwise = if self.eat_word("else") {
            Some(Box::new(self.deeper(Self::statement)?))
        } else {
            None
        };
        Ok(Stmt {
            kind: StmtKind::If(condition, then, otherwise),
            span: start.to(self.before()),
            head: start.to(close),
        })
    }

    fn for_each_cpu(&mut self, word: &'s str, start: Span) -> Parsed<Stmt<'s>> {
        let name_span = self.bump();
        self.expect("(", &format!("after `{word}`"))?;
        let variable = self.name("the variable that counts the CPUs")?;
        let set = if self.eat(",") {
            self.expr()?
        } else if word == "for_each_cpu" {
            return Err(self.expected("`,` and the set of CPUs"));
        } else {
            Expr {
                kind: ExprKind::Name("cpu_online_mask"),
                span: name_span,
                depth: 0,
            }
        };
        let close = self.expect(")", &format!("after the set of `{word}`"))?;
        let body = Box::new(self.deeper(Self::statement)?);
        Ok(Stmt {
            span: start.to(body.span),
            kind: StmtKind::ForEachCpu(variable, set, body),
            head: start.to(close),
        })
    }

    fn either(&mut self, start: Span) -> Parsed<Stmt<'s>> {
        self.bump();
        let mut arms = Vec::new();
        loop {
            let (body, span) = self.block("`either`")?;
            arms.push(Stmt {
                kind: StmtKind::Block(body),
                span,
                head: span,
            });
            if !self.eat_word("or") {
                break;
            }
        }
        if arms.len() == 1 {
            let span = start.to(self.before());
            self.report(
                Diagnostic::new(
                    &code::UNEXPECTED,
                    start,
                    "`either` has nothing to choose from",
                )
                .also(span.after(), "`or { ... }` is missing here")
                .help("write `either { ... } or { }` for something that may or may not happen"),
            );
        }
        Ok(Stmt {
            kind: StmtKind::Either(arms),
            span: start.to(self.before()),
            head: start,
        })
    }

    /// A call, an assignment, or `n++`.
    fn simple(&mut self) -> Parsed<StmtKind<'s>> {
        if let Kind::Mark(mark @ ("++" | "--")) = self.peek() {
            let span = self.bump();
            let place = self.deeper(Self::expr)?;
            self.semicolon("this statement")?;
            return Ok(step(place, mark, span));
        }
        let place = self.expr()?;
        match self.peek() {
            Kind::Mark(
                mark
                @ ("=" | "+=" | "-=" | "*=" | "/=" | "%=" | "&=" | "|=" | "^=" | "<<=" | ">>="),
            ) => {
                self.bump();
                if self.is("{") {
                    let span = self.span();
                    return Err(self.refuse(
                        span,
                        "`{ ... }` as a value",
                        "assign the elements one by one",
                    ));
                }
                let value = self.expr()?;
                if self.is("=") {
                    let span = self.span();
                    return Err(self.refuse(
                        span,
                        "assignments inside of an expression",
                        "write two statements",
                    ));
                }
                self.semicolon("this assignment")?;
                Ok(StmtKind::Assign(place, mark.trim_end_matches('='), value))
            }
            Kind::Mark(mark @ ("++" | "--")) => {
                let span = self.bump();
                self.semicolon("this statement")?;
                Ok(step(place, mark, span))
            }
            _ if matches!(place.kind, ExprKind::Call(..)) => {
                // `while_each(...) { ... }`: a macro that is none of ours.
                if self.is("{")
                    && let ExprKind::Call(name, _) = &place.kind
                {
                    let what = format!("`{}(...) {{ ... }}`", super::shorten(name.text));
                    return Err(self.refuse(
                        name.span,
                        &what,
                        "the loops are `while`, `do` and `for_each_cpu (cpu, mask)`",
                    ));
                }
                self.semicolon("this call")?;
                Ok(StmtKind::Do(place))
            }
            Kind::Mark(",") => {
                let span = self.span();
                Err(self.refuse(span, "the `,` operator", "write two statements"))
            }
            Kind::Mark(";") => {
                let span = place.span;
                self.report(
                    Diagnostic::new(&code::UNEXPECTED, span, "this statement does nothing")
                        .help("a statement is an assignment, a call or one of if, while, do, for_each_cpu, either, atomic, assert, goto, return"),
                );
                self.bump();
                Ok(StmtKind::Empty)
            }
            _ => Err(self.expected("`=`, `(` or `;`")),
        }
    }
}

/// `n++` as `n += 1`.
fn step<'s>(place: Expr<'s>, mark: &str, span: Span) -> StmtKind<'s> {
    let one = Expr {
        kind: ExprKind::Int(1),
        span,
        depth: 0,
    };
    StmtKind::Assign(place, if mark == "++" { "+" } else { "-" }, one)
}
