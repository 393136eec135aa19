"""tools: what differs from the pins."""

from agent.deploys.tools.tool import Tool

corrections, questions = Tool().corrections, Tool().questions
