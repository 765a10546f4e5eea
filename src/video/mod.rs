//! Frames in decode order from a video file: rotation, colour, damage.
