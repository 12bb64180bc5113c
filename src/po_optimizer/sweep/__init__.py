"""A sweep: each configuration is a Kedro session of its own, run as a task of Dask.

Sessions share the LM's ledger and response cache and the record of judged programs.
Everything else they write lies in a folder of their own. So a session that runs again
after its worker died resumes as any killed run does, and pays for no answer twice.
"""
