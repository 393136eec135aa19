"""sysctl: what differs from the wanted settings."""

from agent.deploys.sysctl.setting import KernelSetting

corrections, questions = KernelSetting().corrections, KernelSetting().questions
