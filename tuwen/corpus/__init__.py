"""The corpus: append-only tables in Lance, ids from content, columns with freshness."""

import os

# Before Lance is first imported: it warns on every commit that DataReplacement is unstable. docs/adr/001 says how we
# live with that.
os.environ.setdefault("LANCE_LOG", "error")
