//! Job history: what is told at once, how fast it may grow, and which days are at hand.

pub mod budget;
pub mod days;
pub mod months;
pub mod standing;
