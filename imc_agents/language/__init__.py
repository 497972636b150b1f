"""Words and sentences of questions: lexicon, phonetics, distances, the noisy channel."""
