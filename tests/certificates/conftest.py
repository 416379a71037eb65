"""The signer that conversations about certificates use."""

from tests.certificates.conversing import signs  # noqa: F401  a fixture
