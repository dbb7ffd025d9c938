-- The last seconds before a stop or a reload: each answer closes its connection, so that no client meets a closed one
-- later. Nginx knows that by location alone, so requests take a turn to one of which it is true.
local dict = ngx.shared.upstream

local M = {}

-- Loaded by the master, once for each configuration: the workers of the next one do not leave with those of this one.
local own = dict:incr("generation", 1, 0)

function M.begin()
    return dict:set("leaving", own)
end

function M.turn()
    if dict:get("leaving") == own then
        return ngx.exec("@leave")
    end
end

return M
