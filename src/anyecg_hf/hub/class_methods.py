# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`push_to_hub` of the models' and the tokenizer's own: checked, where this package is.

Their code travels with checkpoints and cannot import this room, so the methods are put in place here. Without the
package the classes have those of `transformers`.
"""

import os
from typing import Any

from anyecg_hf.models.anyecg import (
    AnyECGConfig,
    AnyECGPreTrainedModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)

_CLASSES = (AnyECGPreTrainedModel, AnyECGRhythmQuantizer, AnyECGTokenizer)
_CONFIGS = (AnyECGConfig, AnyECGQuantizerConfig)


def _push_to_hub(self, repo_id: str, **options: Any) -> Any:
    """Shares this on the Hub; arguments and result as in [`anyecg_hf.hub.push_to_hub`]."""
    from anyecg_hf.hub.pushing import push_to_hub

    return push_to_hub(self, repo_id, **options)


def _refuse_to_push(self, *arguments: Any, **options: Any) -> Any:
    """A configuration alone would replace that of the weights that lie there."""
    from anyecg_hf.hub.hub_errors import HubError

    raise HubError(type(self).__name__, "a model, with its configuration", "a configuration alone", "Push the model.")


def _upload_modified_files(
    self,
    working_dir: str | os.PathLike,
    repo_id: str,
    files_timestamps: dict[str, float],
    commit_message: str | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    **further: Any,
) -> Any:
    """What `save_pretrained(..., push_to_hub=True)` of `transformers` ends in; the folder must hold a card."""
    from anyecg_hf.hub.hub_errors import HubError
    from anyecg_hf.hub.pushing import push_to_hub

    if asked := [name for name, value in further.items() if value]:
        # Left out silently, `create_pr` would be a commit that nobody has looked at.
        told = "Push to a branch of its own with `revision` of `anyecg_hf.hub.push_to_hub`."
        raise HubError(repo_id, "a push without further wishes", f"`{'`, `'.join(asked)}`", told)
    options = {"commit_message": commit_message, "revision": revision}
    return push_to_hub(working_dir, repo_id, token=token, **options)


def set_push_methods() -> None:
    """Puts the methods in place; may be called again."""
    for owner in _CLASSES:
        owner.push_to_hub = _push_to_hub
        owner._upload_modified_files = _upload_modified_files
    for owner in _CONFIGS:
        owner.push_to_hub = owner._upload_modified_files = _refuse_to_push


__all__ = ["set_push_methods"]
