"""The nouns of baserate: table shapes, words, results and errors. Imports nothing of ours."""
