"""The LM inside this process: llama.cpp's server and its weights."""
