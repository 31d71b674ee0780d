//! Expressions, with C's precedences.

use super::{DEEPEST, Parsed, Parser, Reported};
use crate::ast::{Expr, ExprKind, Name};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::token::Kind;

/// Operators with two operands and how tightly they bind.
fn binding(mark: &str) -> Option<u8> {
    Some(match mark {
        "*" | "/" | "%" => 10,
        "+" | "-" => 9,
        "<<" | ">>" => 8,
        "<" | "<=" | ">" | ">=" => 7,
        "==" | "!=" => 6,
        "&" => 5,
        "^" => 4,
        "|" => 3,
        "&&" => 2,
        "||" => 1,
        _ => return None,
    })
}

impl<'s> Parser<'s, '_> {
    /// An expression.
    pub(super) fn expr(&mut self) -> Parsed<Expr<'s>> {
        self.deeper(|p| {
            let condition = p.binary(1)?;
            if !p.eat("?") {
                return Ok(condition);
            }
            let yes = p.expr()?;
            p.expect(":", "between the two values of `?`")?;
            let no = p.expr()?;
            let span = condition.span.to(no.span);
            let depth = condition.depth.max(yes.depth).max(no.depth);
            p.node(
                ExprKind::Ternary(Box::new(condition), Box::new(yes), Box::new(no)),
                span,
                depth,
            )
        })
    }

    fn node(&mut self, kind: ExprKind<'s>, span: Span, below: u16) -> Parsed<Expr<'s>> {
        if below >= DEEPEST {
            return Err(self.too_deep(span));
        }
        Ok(Expr {
            kind,
            span,
            depth: below + 1,
        })
    }

    fn binary(&mut self, least: u8) -> Parsed<Expr<'s>> {
        let mut left = self.unary()?;
        while let Kind::Mark(mark) = self.peek() {
            let Some(tight) = binding(mark).filter(|&tight| tight >= least) else {
                break;
            };
            self.bump();
            let right = self.deeper(|p| p.binary(tight + 1))?;
            let span = left.span.to(right.span);
            let depth = left.depth.max(right.depth);
            left = self.node(
                ExprKind::Binary(mark, Box::new(left), Box::new(right)),
                span,
                depth,
            )?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr<'s>> {
        let start = self.span();
        if let Kind::Mark(mark @ ("!" | "~" | "-" | "&" | "*" | "+")) = self.peek() {
            self.bump();
            let inner = self.deeper(Self::unary)?;
            let (span, depth) = (start.to(inner.span), inner.depth);
            return self.node(ExprKind::Unary(mark, Box::new(inner)), span, depth);
        }
        if let Kind::Mark(mark @ ("++" | "--")) = self.peek() {
            return Err(self.refuse(
                start,
                &format!("`{mark}` inside of an expression"),
                "write it as a statement of its own: `n++;`",
            ));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Parsed<Expr<'s>> {
        let mut expr = self.primary()?;
        loop {
            match self.peek() {
                Kind::Mark("[") => {
                    self.bump();
                    let index = self.expr()?;
                    let end = self.expect("]", "after the index")?;
                    let (span, depth) = (expr.span.to(end), expr.depth.max(index.depth));
                    expr = self.node(
                        ExprKind::Index(Box::new(expr), Box::new(index)),
                        span,
                        depth,
                    )?;
                }
                Kind::Mark(mark @ ("->" | ".")) => {
                    let object = match expr.kind {
                        ExprKind::Name(name) => super::shorten(name),
                        _ => "object".to_owned(),
                    };
                    let span = self.span();
                    return Err(self.refuse_member(&object, span, mark));
                }
                _ => return Ok(expr),
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr<'s>> {
        let start = self.span();
        let leaf = |kind, span| Expr {
            kind,
            span,
            depth: 0,
        };
        match self.peek() {
            Kind::Int(value) => Ok(leaf(ExprKind::Int(value), self.bump())),
            Kind::Str(_) => {
                self.bump();
                // "a" "b"
                while let Kind::Str(_) = self.peek() {
                    self.bump();
                }
                Ok(leaf(ExprKind::Str, start.to(self.before())))
            }
            Kind::Name("sizeof" | "alignof" | "typeof" | "offsetof" | "container_of") => Err(self
                .refuse(
                    start,
                    &self.found(),
                    "values have no size and no address here: write the number",
                )),
            Kind::Name(text) => {
                let span = self.bump();
                if !self.is("(") {
                    return Ok(leaf(ExprKind::Name(text), span));
                }
                self.call(Name { text, span })
            }
            Kind::Mark("(") => {
                self.bump();
                if self.at_cast() {
                    return Err(self.refuse(
                        start.to(self.span()),
                        "casts",
                        "leave it out: every value is a whole number",
                    ));
                }
                if self.is("{") {
                    return Err(self.refuse(
                        start,
                        "statements inside of an expression",
                        "write them before the statement",
                    ));
                }
                let inner = self.expr()?;
                if self.is(",") {
                    let span = self.span();
                    return Err(self.refuse(span, "the `,` operator", "write two statements"));
                }
                let end = self
                    .expect(")", "to close this `(`")
                    .map_err(|Reported| Reported)?;
                Ok(Expr {
                    span: start.to(end),
                    ..inner
                })
            }
            Kind::Mark("=") => Err(self.expected("a value")),
            _ => Err(self.expected("a value")),
        }
    }

    /// `(int)x`, `(struct foo *)x`, `(void *)x`.
    fn at_cast(&self) -> bool {
        let Kind::Name(word) = self.peek() else {
            return false;
        };
        let type_word = self.at_type() || matches!(word, "struct" | "void");
        type_word
            && (matches!(self.ahead(1), Kind::Mark(")" | "*"))
                || matches!(self.ahead(1), Kind::Name(_)))
    }

    /// The arguments of a call, behind its name.
    fn call(&mut self, name: Name<'s>) -> Parsed<Expr<'s>> {
        let open = self.bump();
        let mut args = Vec::new();
        let mut depth = 0;
        while !self.is(")") {
            if self.ended() || self.is(";") || self.is("}") || self.is("{") {
                let (span, found) = (self.span(), self.found());
                return Err(self.report(
                    Diagnostic::new(
                        &code::UNEXPECTED,
                        span,
                        format!(
                            "expected `)` after the arguments of {}(), found {found}",
                            super::shorten(name.text)
                        ),
                    )
                    .label("expected `)`")
                    .also(open, "to close this"),
                ));
            }
            let arg = self.expr()?;
            if let Kind::Mark(mark @ ("=" | "+=" | "-=")) = self.peek() {
                let span = self.span();
                let help = if mark == "=" {
                    "to compare, write `==`; to assign, write a statement of its own"
                } else {
                    "write a statement of its own"
                };
                return Err(self.refuse(span, "assignments inside of an expression", help));
            }
            depth = depth.max(arg.depth);
            args.push(arg);
            if !self.eat(",") && !self.is(")") {
                let (span, found) = (self.span(), self.found());
                return Err(self.report(
                    Diagnostic::new(
                        &code::UNEXPECTED,
                        span,
                        format!(
                            "expected `,` or `)` in the arguments of {}(), found {found}",
                            super::shorten(name.text)
                        ),
                    )
                    .label("expected `,` or `)`")
                    .also(open, "these arguments"),
                ));
            }
        }
        let end = self.bump();
        if self.is("(") {
            let span = self.span();
            return Err(self.refuse(
                span,
                "functions that return a function",
                "call the function by its name",
            ));
        }
        self.node(ExprKind::Call(name, args), name.span.to(end), depth)
    }

    /// `(` expression `)` behind `if`, `while` and the like; an assignment in it gets a word of its own.
    pub(super) fn condition(&mut self, of: &str) -> Parsed<(Expr<'s>, Span)> {
        let open = self.expect("(", &format!("after `{of}`"))?;
        if self.is(")") {
            return Err(self.expected(&format!("the condition of `{of}`")));
        }
        let expr = self.expr()?;
        if self.is("=") {
            let span = self.span();
            return Err(self.refuse(
                span,
                "assignments inside of a condition",
                "to compare, write `==`; to assign, write a statement of its own",
            ));
        }
        if !self.is(")") {
            let (span, found) = (self.span(), self.found());
            return Err(self.report(
                Diagnostic::new(
                    &code::UNEXPECTED,
                    span,
                    format!("expected `)` after the condition of `{of}`, found {found}"),
                )
                .label("expected `)`")
                .also(open, "to close this"),
            ));
        }
        let close = self.bump();
        Ok((expr, close))
    }
}
