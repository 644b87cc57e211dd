//! Accepted forms in edition 2021.

#[path = "../../pass/forms.rs"]
pub mod forms;
#[path = "../../pass/macro_rules.rs"]
pub mod macro_rules;
#[path = "../../pass/methods.rs"]
pub mod methods;
#[path = "../../pass/placements.rs"]
pub mod placements;
