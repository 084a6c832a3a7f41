-- Scripts run inside Redis 7.0 or Valkey: Lua 5.1 with the server's own globals and nothing else.
std = "lua51"
read_globals = { "redis", "cjson", "cmsgpack", "struct", "bit", "KEYS", "ARGV" }
max_line_length = 132
-- A command file is assembled from its includes, whose locals luacheck cannot see; the server compiles
-- the whole, and the architecture tests check that nothing global is written.
ignore = { "112", "113" }
files["engine/store/lua/include"] = { ignore = { "112", "113", "211" } }
