"""Which package fits which agents, and how far it is with each."""

from django.db import models

from agents.models import Agent


class Package(models.Model):  # noqa: DJ008
    """One version of one package, for agents whose label ``env`` has this value."""

    name, version, env = (
        models.CharField(max_length=64),
        models.CharField(max_length=64),
        models.CharField(max_length=64),
    )


class Installation(models.Model):  # noqa: DJ008
    """What an agent should install; ``status`` is pending, offered, or what the agent says."""

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE)
    package = models.ForeignKey(Package, on_delete=models.CASCADE)
    status = models.CharField(max_length=32, default="pending")
