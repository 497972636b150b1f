"""Text noises: spelling (typo, ocr), dictation (homophone, word_drop), distraction."""
