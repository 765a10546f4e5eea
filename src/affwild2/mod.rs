//! The text formats of the ABAW challenges: label files, frame lists, submissions.
