//! What people look at and correct: rendered videos, exports to annotation tools, and the way back.

mod export;
mod render;
mod round_trip;
mod run;
