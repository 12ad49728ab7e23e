"""Lua scripts: each is one step that no other client can come between.

Every script that must also work on a full server (`maxmemory`, no eviction) removes something
first: Redis and Valkey refuse a script for lack of memory only at its first write.
"""

from __future__ import annotations

STORE = """
local generation = redis.call('GET', KEYS[3])
local payload, version, ttl_ms, new_generation, seen_generation, lease, only_over = unpack(ARGV)
if seen_generation ~= '' and generation ~= seen_generation then return 0 end
if only_over ~= '' then
  local written_in = string.match(redis.call('GETRANGE', KEYS[1], 0, 127), '^(%S+) ')
  if not written_in or written_in ~= generation then return 0 end
end
if lease ~= '' and redis.call('GET', KEYS[4]) ~= lease then return 0 end
if version ~= '-' then
  local offered = tonumber(version)
  local dead = tonumber(redis.call('GET', KEYS[2]) or '')
  if dead and offered < dead then return 0 end
  local stored = string.match(redis.call('GETRANGE', KEYS[1], 0, 127), '^%S+ (%d+) ')
  if stored and offered < tonumber(stored) then return 0 end
end
if not generation then
  generation = new_generation
  redis.call('SET', KEYS[3], generation)
end
redis.call('SET', KEYS[1], generation .. ' ' .. version .. ' ' .. payload, 'PX', ttl_ms)
if lease ~= '' then redis.call('DEL', KEYS[4]) end
return 1
"""
"""KEYS value tombstone generation lease; ARGV payload version|- ttl_ms new_generation seen_generation|'' lease|''
only_over|''.

1: stored. 0: refused, because a newer version is stored, a newer version was invalidated, the
family was invalidated, the lease was lost (expired, or taken away by an invalidation), or it was
to be stored `only_over` a readable entry and there is none.
"""

INVALIDATE = """
redis.call('UNLINK', KEYS[1], KEYS[3])
local dead = tonumber(redis.call('GET', KEYS[2]) or '')
local version = ARGV[1]
if dead and dead > tonumber(version) then version = dead end
redis.call('SET', KEYS[2], string.format('%.0f', version), 'PX', ARGV[2])
return 1
"""
"""KEYS value tombstone lease; ARGV version tombstone_ms. Drops the entry and remembers the highest version."""

VALUE_OR_LEASE = """
local generation = redis.call('GET', KEYS[3])
if not generation then
  generation = ARGV[3]
  redis.call('SET', KEYS[3], generation)
end
local stored = redis.call('GET', KEYS[1])
if stored then
  local written_in, version = string.match(stored, '^(%S+) (%S+) ')
  local new_enough = ARGV[4] == '-' or (tonumber(version) and tonumber(version) >= tonumber(ARGV[4]))
  local wanted = ARGV[5] == '' or redis.sha1hex(stored) ~= ARGV[5]
  if written_in == generation and new_enough and wanted then return {generation, 'value', stored} end
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {generation, 'lease'} end
return {generation, 'taken'}
"""
"""KEYS value lease generation; ARGV token lease_ms new_generation version|- sha1_of_an_unwanted_entry|''.

{generation, 'value', entry}, {generation, 'lease'} if this caller is to compute, or {generation, 'taken'}.
One step: a look and then a lease would let a second caller compute what was stored in between.
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""KEYS lease; ARGV token. Gives the lease back only if it is still this caller's."""
