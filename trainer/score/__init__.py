"""The ML Test Score of a project, each point tied to evidence."""
