"""containers: what differs from the wanted quadlets."""

from agent.deploys.containers.quadlet import Quadlet

corrections, questions = Quadlet().corrections, Quadlet().questions
