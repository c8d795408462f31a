"""The CustomResourceDefinitions, written from the models."""
