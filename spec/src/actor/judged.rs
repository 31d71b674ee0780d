//! The properties of the protocol as Stateright's, so that its own checkers can be asked.

use crate::model::Protocol;
use crate::property::{Decided, PROPERTIES, Property};
use stateright::Model;

/// A model on whose states the properties of [`PROPERTIES`] can be judged.
pub trait Judged: Model {
    /// Does the state violate the property? False for a property decided on the graph, and for
    /// a state on which the model cannot judge it.
    fn is_violated(&self, property: &Property, state: &Self::State) -> bool;
}

impl Judged for Protocol {
    fn is_violated(&self, property: &Property, state: &Self::State) -> bool {
        property.is_violated(&self.config, state)
    }
}

/// Stateright's conditions are plain functions, so the index is part of the type.
fn holds<M: Judged, const I: usize>(model: &M, state: &M::State) -> bool {
    !model.is_violated(&PROPERTIES[I], state)
}

/// Every property that is decided on states, as an `always` property of the same name.
///
/// `progress` is left out: Stateright's `eventually` takes loops and joins for progress
/// ([`crate::progress`] does not).
pub fn stateright_properties<M: Judged>() -> Vec<stateright::Property<M>> {
    macro_rules! conditions {
        ($($i:literal)*) => { [$(holds::<M, $i> as fn(&M, &M::State) -> bool),*] };
    }
    let conditions = conditions!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    const { assert!(PROPERTIES.len() == 15) };
    PROPERTIES
        .iter()
        .zip(conditions)
        .filter(|(property, _)| matches!(property.decided, Decided::OnStates(_)))
        .map(|(property, condition)| stateright::Property::always(property.name, condition))
        .collect()
}
