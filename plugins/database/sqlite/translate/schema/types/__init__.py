"""Types that a migration makes: enumerations and domains."""
