-- ARGV: settlements.
settle(1)
return 1
