//! sidefuse
