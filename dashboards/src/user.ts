// Who is signed in.
import { createResource } from "solid-js";
import { whoami } from "./api";
import { signedIn, token } from "./session";

const [me] = createResource(signedIn, () => whoami(token()).catch(() => undefined));
export { me };
