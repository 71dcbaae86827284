"""How often is an AI interaction unsafe? Prevalence with honest intervals."""
