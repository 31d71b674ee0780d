//! What stands outside of every body.

use super::{Parsed, Parser, Reported};
use crate::ast::{
    Decl, Declarator, Expr, ExprKind, File, Func, Init, Item, Name, On, Param, Source, Type,
    TypeKind,
};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::source::Span;
use crate::token::Kind;

/// The kinds of sources.
pub const SOURCES: &[&str] = &["task", "irq", "softirq", "timer", "nmi", "work", "stopper"];

/// The words that start an item, beside types.
pub const ITEMS: &[&str] = &[
    "scenario",
    "cpus",
    "preempt",
    "memory",
    "expect",
    "rule",
    "invariant",
    "enum",
    "percpu",
    "void",
];

/// Macros of the kernel that declare something: the type, and how many arguments beside the name may follow.
pub const DEFINES: &[(&str, TypeKind<'static>)] = &[
    ("DEFINE_SPINLOCK", TypeKind::Spin),
    ("DEFINE_RAW_SPINLOCK", TypeKind::RawSpin),
    ("DEFINE_RWLOCK", TypeKind::Rw),
    ("DEFINE_MUTEX", TypeKind::Mutex),
    ("DEFINE_RT_MUTEX", TypeKind::Mutex),
    ("DECLARE_RWSEM", TypeKind::RwSem),
    ("DEFINE_STATIC_PERCPU_RWSEM", TypeKind::RwSem),
    ("DEFINE_PERCPU_RWSEM", TypeKind::RwSem),
    ("DEFINE_SEMAPHORE", TypeKind::Sem),
    ("DECLARE_MUTEX", TypeKind::Sem),
    ("DECLARE_COMPLETION", TypeKind::Completion),
    ("DECLARE_COMPLETION_ONSTACK", TypeKind::Completion),
    ("DEFINE_SEQLOCK", TypeKind::Seqlock),
    ("DECLARE_WAIT_QUEUE_HEAD", TypeKind::WaitQueue),
    ("DEFINE_SRCU", TypeKind::Srcu),
    ("DEFINE_STATIC_SRCU", TypeKind::Srcu),
    ("DECLARE_WAIT_QUEUE_HEAD_ONSTACK", TypeKind::WaitQueue),
    ("DEFINE_WAIT", TypeKind::Unknown),
];

impl<'s> Parser<'s, '_> {
    pub(super) fn file(&mut self) -> File<'s> {
        let mut file = File::default();
        while !self.ended() && !self.out.full() {
            let before = self.at;
            match self.item() {
                Ok(Some(item)) => file.items.push(item),
                Ok(None) => {}
                Err(Reported) => {
                    self.recover();
                    // A `}` that closes nothing here belongs to what was skipped.
                    while self.is("}") {
                        self.bump();
                    }
                }
            }
            if self.at == before {
                self.bump();
            }
        }
        file
    }

    fn item(&mut self) -> Parsed<Option<Item<'s>>> {
        if let Some(reported) = self.refuse_statement() {
            return Err(reported);
        }
        let start = self.span();
        let Kind::Name(word) = self.peek() else {
            return match self.peek() {
                Kind::Mark(";") => {
                    self.bump();
                    Ok(None)
                }
                Kind::Mark("}") => {
                    let span = self.bump();
                    self.error(&code::UNEXPECTED, span, "this `}` closes nothing");
                    Ok(None)
                }
                _ => Err(self.expected("a declaration, a function or a source")),
            };
        };
        let item = match word {
            "scenario" => {
                self.bump();
                let Kind::Str(text) = self.peek() else {
                    return Err(self.expected("the scenario's name in quotes"));
                };
                let span = self.bump();
                self.semicolon("the scenario's name")?;
                Item::Scenario(Name { text, span })
            }
            "cpus" => {
                self.bump();
                let (count, span) = self.int("the number of CPUs")?;
                self.semicolon("the number of CPUs")?;
                Item::Cpus(count, span)
            }
            "preempt" => {
                self.bump();
                let model = self.name("`none` or `full`")?;
                self.semicolon("`preempt`")?;
                Item::Preempt(model)
            }
            // Not a keyword: a variable may be called so.
            "memory"
                if matches!(self.ahead(1), Kind::Name(_))
                    && matches!(self.ahead(2), Kind::Mark(";")) =>
            {
                self.bump();
                let model = self.name("`sc` or `tso`")?;
                self.semicolon("`memory`")?;
                Item::Memory(model)
            }
            "expect" => self.expect_item(start)?,
            "rule" => {
                self.bump();
                let rule = self.name("the name of a rule")?;
                self.semicolon("`rule`")?;
                Item::Rule(rule)
            }
            "invariant" => {
                self.bump();
                let name = self.name("the invariant's name")?;
                self.expect(":", "after the invariant's name")?;
                let holds = self.expr()?;
                self.semicolon("the invariant")?;
                Item::Invariant(name, holds)
            }
            "enum" if !self.is_enum_variable() => self.enum_item()?,
            "struct" | "union" if matches!(self.ahead(2), Kind::Mark("{")) => {
                let span = start.to(self.tokens[self.at + 1].span);
                return Err(self.struct_definition(span));
            }
            _ if SOURCES.contains(&word) && matches!(self.ahead(1), Kind::Name(_)) => {
                self.source(start)?
            }
            _ => return self.declaration(start).map(Some),
        };
        Ok(Some(item))
    }

    fn expect_item(&mut self, start: Span) -> Parsed<Item<'s>> {
        self.bump();
        let verdict = self.name("`ok` or `violated NAME`")?;
        let name = match verdict.text {
            "ok" => None,
            "violated" => Some(self.name("the property that is violated, as `no_deadlock`")?),
            _ => {
                return Err(self.report(
                    Diagnostic::new(
                        &code::UNEXPECTED,
                        verdict.span,
                        format!(
                            "expected `ok` or `violated NAME`, found `{}`",
                            super::shorten(verdict.text)
                        ),
                    )
                    .help(
                        "write `expect ok;`, or what must come out: `expect violated no_deadlock;`",
                    ),
                ));
            }
        };
        self.semicolon("`expect`")?;
        Ok(Item::Expect(name, start.to(self.before())))
    }

    /// `enum state s;` declares a variable, `enum state {` the values.
    fn is_enum_variable(&self) -> bool {
        matches!(self.ahead(1), Kind::Name(_)) && matches!(self.ahead(2), Kind::Name(_))
    }

    fn enum_item(&mut self) -> Parsed<Item<'s>> {
        self.bump();
        let name = match self.peek() {
            Kind::Name(_) => Some(self.name("a name")?),
            _ => None,
        };
        self.expect("{", "with the values of the enum")?;
        let mut values = Vec::new();
        while !self.is("}") {
            let value = self.name("the name of a value")?;
            let number = if self.eat("=") {
                Some(self.expr()?)
            } else {
                None
            };
            values.push((value, number));
            if !self.eat(",") && !self.is("}") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        self.bump();
        self.semicolon("the enum")?;
        Ok(Item::Enum(name, values))
    }

    fn source(&mut self, start: Span) -> Parsed<Item<'s>> {
        let kind = self.name("a kind of source")?;
        let name = self.name("the source's name")?;
        let (mut on, mut times, mut raised) = (None, None, None);
        loop {
            match self.peek() {
                Kind::Name("on") => {
                    let word = self.bump();
                    let cpu = self.name("`any` or a CPU, as `CPU0`")?;
                    if on.is_some() {
                        self.error(&code::DUPLICATE, word, "this source has a second `on`");
                    }
                    on = Some(self.cpu(cpu)?);
                }
                Kind::Name("times") => {
                    let word = self.bump();
                    let (count, span) = self.int("how often")?;
                    if times.is_some() {
                        self.error(&code::DUPLICATE, word, "this source has a second `times`");
                    }
                    times = Some((count, span));
                }
                Kind::Name("raised") => raised = Some(self.bump()),
                Kind::Mark("{") => break,
                Kind::Mark("(") => {
                    let span = self.span();
                    return Err(self.refuse(
                        span,
                        "parameters of a source",
                        &format!(
                            "write `{} {} on CPU0 {{ ... }}`: a source is started, not called",
                            kind.text,
                            super::shorten(name.text)
                        ),
                    ));
                }
                _ => return Err(self.expected("`on CPU0`, `times 1`, `raised` or `{`")),
            }
        }
        let head = start.to(self.before());
        let (body, _) = self.block(&format!("{} {}", kind.text, super::shorten(name.text)))?;
        Ok(Item::Source(Source {
            kind,
            name,
            on,
            times,
            raised,
            body,
            span: head,
        }))
    }

    fn cpu(&mut self, word: Name<'s>) -> Parsed<On<'s>> {
        if word.text == "any" {
            return Ok(On::Any);
        }
        let digits = word
            .text
            .strip_prefix("CPU")
            .or_else(|| word.text.strip_prefix("cpu"));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(number) => Ok(On::Cpu(number, word)),
            None => Err(self.report(
                Diagnostic::new(
                    &code::UNEXPECTED,
                    word.span,
                    format!(
                        "expected `any` or a CPU, found `{}`",
                        super::shorten(word.text)
                    ),
                )
                .help("write `on CPU0`, or `on any` for one on every CPU"),
            )),
        }
    }

    /// A declaration or a function.
    fn declaration(&mut self, start: Span) -> Parsed<Item<'s>> {
        let mut constant = self.qualifiers();
        if let Some(item) = self.define_macro()? {
            return Ok(item);
        }
        let percpu = matches!(self.ahead(1), Kind::Name(_)) && self.eat_word("percpu");
        constant |= self.qualifiers();
        if !self.at_type() {
            return Err(self.unknown_item());
        }
        if let Some(reported) = self.misspelt_source() {
            return Err(reported);
        }
        let (ty, const_type) = self.ty()?;
        constant |= const_type;
        let pointer = self.is("*").then(|| self.bump());
        if matches!(self.peek(), Kind::Name(_)) && self.ahead(1) == Kind::Mark("(") {
            return self.function(ty, start);
        }
        if let Some(span) = pointer {
            return Err(self.refuse(
                span,
                "pointer variables",
                "declare the object itself and take its address where a call wants it: `spin_lock(&lock)`",
            ));
        }
        let declarators = self.declarators(false)?;
        self.semicolon("this declaration")?;
        Ok(Item::Decl(Decl {
            percpu,
            constant,
            ty,
            declarators,
        }))
    }

    fn unknown_item(&mut self) -> Reported {
        let span = self.span();
        if let Kind::Name(word) = self.peek() {
            let words = ITEMS
                .iter()
                .chain(SOURCES)
                .copied()
                .chain(DEFINES.iter().map(|&(name, _)| name));
            let mut diagnostic = Diagnostic::new(
                &code::UNEXPECTED,
                span,
                format!(
                    "expected a declaration, a function or a source, found `{}`",
                    super::shorten(word)
                ),
            )
            .label("statements stand in the body of a source or a function");
            diagnostic = match nearest(word, words) {
                Some(near) if near != word => diagnostic.help(format!("did you mean `{near}`?")),
                _ => diagnostic.help("write `task NAME on CPU0 { ... }` around statements"),
            };
            return self.report(diagnostic);
        }
        self.expected("a declaration, a function or a source")
    }

    /// `DEFINE_SPINLOCK(x);`, `DEFINE_PER_CPU(int, x);`.
    fn define_macro(&mut self) -> Parsed<Option<Item<'s>>> {
        let Kind::Name(word) = self.peek() else {
            return Ok(None);
        };
        if self.ahead(1) != Kind::Mark("(") {
            return Ok(None);
        }
        let percpu = word.starts_with("DEFINE_PER_CPU") || word.starts_with("DECLARE_PER_CPU");
        let define = DEFINES.iter().find(|&&(name, _)| name == word);
        if !percpu && define.is_none() {
            return Ok(None);
        }
        let start = self.bump();
        self.expect("(", "after the macro")?;
        let ty = match define {
            Some(&(_, TypeKind::Unknown)) => {
                return Err(self.refuse(
                    start,
                    &format!("`{word}`"),
                    "write wait_event(queue, condition), which prepares and finishes the wait",
                ));
            }
            Some(&(_, kind)) => Type { kind, span: start },
            None => {
                let (ty, _) = self.ty()?;
                self.expect(",", "between the type and the name")?;
                ty
            }
        };
        let name = self.name("the name to declare")?;
        let len = if self.eat("[") {
            let len = self.expr()?;
            self.expect("]", "after the length")?;
            Some(len)
        } else {
            None
        };
        let mut init = None;
        if self.eat(",") {
            init = Some(Init::One(self.expr()?));
        }
        self.expect(")", "to close the macro")?;
        let fairness = self.fairness();
        if self.eat("=") {
            init = Some(self.initial()?);
        }
        self.semicolon("this declaration")?;
        let span = start.to(self.before());
        Ok(Some(Item::Decl(Decl {
            percpu,
            constant: false,
            ty,
            declarators: vec![Declarator {
                name,
                len,
                range: None,
                init,
                fairness,
                span,
            }],
        })))
    }

    fn function(&mut self, ty: Type<'s>, start: Span) -> Parsed<Item<'s>> {
        let name = self.name("the function's name")?;
        if ty.kind != TypeKind::Void && ty.kind != TypeKind::Unknown {
            let help = if self.tokens[self.at.saturating_sub(2)..self.at]
                .iter()
                .any(|t| t.kind == Kind::Name("irqreturn_t"))
            {
                "an interrupt handler is a source: `irq NAME on CPU0 { ... }`".to_owned()
            } else {
                format!(
                    "write `void {}(...)` and let it assign a variable",
                    super::shorten(name.text)
                )
            };
            self.refuse(start.to(ty.span), "results of your own functions", &help);
        }
        self.expect("(", "after the function's name")?;
        let mut params = Vec::new();
        while !self.is(")") {
            if self.is_word("void") && self.ahead(1) == Kind::Mark(")") {
                self.bump();
                break;
            }
            params.push(self.parameter()?);
            if !self.eat(",") && !self.is(")") {
                return Err(self.expected("`,` or `)` after a parameter"));
            }
        }
        self.expect(")", "after the parameters")?;
        let _ = self.qualifiers();
        if self.eat(";") {
            // A prototype: functions are known before they are written, so that it says nothing new.
            return Ok(Item::Enum(None, Vec::new()));
        }
        let (body, _) = self.block(&format!("{}()", super::shorten(name.text)))?;
        Ok(Item::Func(Func { name, params, body }))
    }

    fn parameter(&mut self) -> Parsed<Param<'s>> {
        let start = self.span();
        if !self.at_type() && !matches!(self.peek(), Kind::Name(_)) {
            return Err(self.expected("a parameter, as `int n` or `spinlock_t *lock`"));
        }
        let (ty, _) = self.ty()?;
        let mut pointer = false;
        while self.eat("*") {
            pointer = true;
            let _ = self.qualifiers();
        }
        let name = match self.peek() {
            Kind::Name(_) => Some(self.name("a name")?),
            _ => None,
        };
        Ok(Param {
            ty,
            pointer,
            name,
            span: start.to(self.before()),
        })
    }

    fn fairness(&mut self) -> Option<Name<'s>> {
        match self.peek() {
            Kind::Name(text @ ("reader_pref" | "fair" | "strict")) => Some(Name {
                text,
                span: self.bump(),
            }),
            _ => None,
        }
    }

    fn initial(&mut self) -> Parsed<Init<'s>> {
        if !self.is("{") {
            return Ok(Init::One(self.expr()?));
        }
        let open = self.bump();
        let mut values = Vec::new();
        while !self.is("}") {
            values.push(self.expr()?);
            if !self.eat(",") && !self.is("}") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        let close = self.bump();
        Ok(Init::List(values, open.to(close)))
    }

    /// The names of a declaration, up to its `;`.
    pub(super) fn declarators(&mut self, local: bool) -> Parsed<Vec<Declarator<'s>>> {
        let mut list = Vec::new();
        loop {
            let start = self.span();
            if self.is("*") {
                let span = self.bump();
                return Err(self.refuse(
                    span,
                    "pointer variables",
                    "declare the object itself and take its address where a call wants it: `spin_lock(&lock)`",
                ));
            }
            let name = self.name("the name to declare")?;
            let mut len = None;
            while self.eat("[") {
                let length = self.expr()?;
                let end = self.expect("]", "after the length")?;
                if len.is_some() {
                    self.refuse(
                        name.span.to(end),
                        "arrays of arrays",
                        "use one array, and compute its index: `a[i * 4 + j]`",
                    );
                }
                len = Some(length);
            }
            if self.is("(") && !local {
                return Err(self.expected("`;`, `,` or `=`"));
            }
            let range = if self.eat_word("in") {
                let low = self.range_end()?;
                // `0..7` comes from the lexer as `0`, `.`, `.`, `7`.
                if !(self.eat(".") && self.eat(".")) {
                    return Err(self.expected("`..` between the least and the greatest value"));
                }
                let high = self.range_end()?;
                Some((low, high))
            } else {
                None
            };
            let mut fairness = self.fairness();
            let init = if self.eat("=") {
                Some(self.initial()?)
            } else {
                None
            };
            fairness = fairness.or_else(|| self.fairness());
            list.push(Declarator {
                name,
                len,
                range,
                init,
                fairness,
                span: start.to(self.before()),
            });
            if !self.eat(",") {
                return Ok(list);
            }
        }
    }

    /// The least or the greatest value of a range: a number or a name, with a sign or without.
    fn range_end(&mut self) -> Parsed<Expr<'s>> {
        let start = self.span();
        let negative = self.eat("-");
        let kind = match self.peek() {
            Kind::Int(value) => ExprKind::Int(value),
            Kind::Name(name) => ExprKind::Name(name),
            _ => return Err(self.expected("a number")),
        };
        let span = start.to(self.bump());
        let inner = Expr {
            kind,
            span,
            depth: 0,
        };
        Ok(if negative {
            Expr {
                kind: ExprKind::Unary("-", Box::new(inner)),
                span,
                depth: 1,
            }
        } else {
            inner
        })
    }
}
