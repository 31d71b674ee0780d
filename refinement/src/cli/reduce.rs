//! `--reduce`: states that stand for others.

use shootdown_ir::reduce::{Reductions, UnknownReduction};
use std::str::FromStr;

/// Whether states may stand for others.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Bounds")]
pub struct Reduce {
    /// Look at states that stand for others: `off`, `on`, `auto` (only where the full search runs out of memory), or some
    /// of `dead`, `fill`, `por`
    ///
    /// Verdicts, witnesses and the runs that are shown are those of the full search; counts are of the states looked at.
    /// docs/engine.md says what each reduction leaves out, and why nothing is lost.
    #[arg(long = "reduce", value_name = "WHAT", default_value = "off")]
    how: How,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum How {
    #[default]
    Off,
    Auto,
    These(Reductions),
}

impl FromStr for How {
    type Err = UnknownReduction;

    fn from_str(text: &str) -> Result<How, UnknownReduction> {
        Ok(match text {
            "off" => How::Off,
            "auto" => How::Auto,
            "on" => How::These(Reductions::ALL),
            names => How::These(names.parse()?),
        })
    }
}

impl Reduce {
    /// The reductions to begin with.
    pub fn first(self) -> Reductions {
        match self.how {
            How::Off | How::Auto => Reductions::NONE,
            How::These(which) => which,
        }
    }

    /// The reductions to try where there was not enough memory.
    pub fn out_of_memory(self) -> Option<Reductions> {
        (self.how == How::Auto).then_some(Reductions::ALL)
    }

    /// Is it more than the default?
    pub fn is_given(self) -> bool {
        self.how != How::Off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reduction_is_a_switch_and_anything_else_is_told() {
        let how = |text: &str| text.parse::<How>();
        assert_eq!(how("on"), Ok(How::These(Reductions::ALL)));
        let dead = Reductions {
            dead: true,
            ..Reductions::NONE
        };
        assert_eq!(how("dead"), Ok(How::These(dead)));
        let error = how("dead,fast").expect_err("no such thing").to_string();
        assert!(error.contains("`fast`") && error.contains("por"), "{error}");
    }

    #[test]
    fn the_help_names_every_reduction() {
        use clap::Args as _;
        let command = Reduce::augment_args(clap::Command::new("check"));
        let help = command.clone().render_long_help().to_string();
        for name in Reductions::ALL.names() {
            assert!(help.contains(&format!("`{name}`")), "{name}: {help}");
        }
    }
}
